import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { transitions } from '../../lib/workflow/src/job/transitions.ts'
import { jobStatuses } from '../../lib/workflow/src/model/job-status.ts'
import { runStatuses } from '../../lib/workflow/src/model/run-status.ts'

/**
 * A statement reads best with its statuses in it. So they stand there as they are, and here each is held to the tables in
 * the code: that there is such a status, and that the move which a statement makes is one of `transitions`.
 */

const root = resolve(import.meta.dirname, '../..')

const sources = globSync(['lib/workflow/src/**/*.ts', 'control-plane/src/**/*.ts', 'workers/*/src/**/*.ts'], {
  cwd: root,
  exclude: ['**/*.test.ts'],
}).map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

/** The statements of a file, as far as they are about jobs or runs. */
const statementsOf = (text: string): string[] =>
  [...text.matchAll(/`([^`]*)`/g)].map(([, sql = '']) => sql).filter((sql) => /\bworkflow_(job|run)\b/.test(sql))

type Kind = 'job' | 'run' | 'either'

const known: Record<Kind, ReadonlySet<string>> = {
  job: new Set(jobStatuses),
  run: new Set(runStatuses),
  either: new Set([...jobStatuses, ...runStatuses]),
}

/** Every status that a statement names, and whose it is as far as that shows. */
const statusesIn = (sql: string): { kind: Kind; status: string }[] =>
  [...sql.matchAll(/(?:(\w+)\.)?(\w*status)\s*(?:=|<>|in)\s*(case\b[\s\S]*?\bend\b|\([^()]*\)|'\w+')/g)].flatMap(
    ({ 1: alias, 2: column = '', 3: value = '', index }) => {
      const kind = kindOf(sql, alias, column, index)
      // Of a case the conditions are looked at by themselves.
      const named = value.startsWith('case') ? /(?:then|else)\s+'(\w+)'/g : /'(\w+)'/g
      return [...value.matchAll(named)].map(([, status = '']) => ({ kind, status }))
    },
  )

const kindOf = (sql: string, alias: string | undefined, column: string, at: number): Kind => {
  if (column === 'job_status') return 'job'
  if (column === 'run_status') return 'run'
  // A bare name is of what was named last.
  const named =
    alias === undefined
      ? [...sql.slice(0, at).matchAll(/\b(?:from|join|update|into) (\w+)/g)].at(-1)?.[1]
      : new RegExp(`\\b(workflow_\\w+) (?:as )?${alias}\\b`).exec(sql)?.[1]
  return named === 'workflow_job' ? 'job' : named === 'workflow_run' ? 'run' : 'either'
}

const unknownIn = (text: string): string[] =>
  statementsOf(text)
    .flatMap(statusesIn)
    .flatMap(({ kind, status }) => (known[kind].has(status) ? [] : [`${kind}: ${status}`]))

/** The statuses that statements of a file write into jobs that are there. */
const writtenIn = (text: string): string[] =>
  statementsOf(text).flatMap((sql) =>
    [...sql.matchAll(/\bupdate workflow_job\b[\s\S]*?(?=\bupdate\b|\bwhere\b|$)/g)].flatMap(([update]) =>
      [...update.matchAll(/(?<!\.)\bstatus = '(\w+)'/g)].map(([, status = '']) => status),
    ),
  )

/** Where each event leads, from wherever it may come. */
const events = {
  accept: transitions.hidden.accept,
  release: transitions.staged.release,
  putBack: transitions.queued.putBack,
  start: transitions.queued.start,
  succeed: transitions.queued.succeed,
  requeue: transitions.queued.requeue,
  fail: transitions.queued.fail,
  cancel: transitions.queued.cancel,
  sendAgain: transitions.failed.sendAgain,
}

const isEvent = (name: string): name is keyof typeof events => name in events

/** What is written that no event, of those whose statuses the file asks for to compare with, leads to. */
const strayIn = (text: string): string[] => {
  const asked = [...text.matchAll(/statusesBefore\('(\w+)'\)/g)].map(([, event = '']) => event).filter(isEvent)
  const targets = new Set<string>(asked.map((event) => events[event]))
  return writtenIn(text).filter((status) => !targets.has(status))
}

test('every status in a statement is one that a job, or a run, may have', () => {
  const faults = sources.flatMap(({ file, text }) => unknownIn(text).map((fault) => `${file}: ${fault}`))
  expect(faults).toEqual([])
  const named = sources.flatMap(({ text }) => statementsOf(text).flatMap(statusesIn))
  for (const kind of ['job', 'run'] as const) {
    expect(named.filter((one) => one.kind === kind).length, kind).toBeGreaterThan(10)
  }
})

test('every status that a statement writes is where an event leads whose statuses it is compared with', () => {
  const faults = sources.flatMap(({ file, text }) => strayIn(text).map((status) => `${file}: ${status}`))
  expect(faults).toEqual([])
  expect(sources.flatMap(({ text }) => writtenIn(text)).length).toBeGreaterThanOrEqual(11)
})

test.each([
  ["select from workflow_job where status = 'runing'", ['job: runing']],
  ["select from workflow_job where status in ('running', 'skipped')", ['job: skipped']],
  ["select from workflow_run run join workflow_job job on run.status <> 'staged'", ['run: staged']],
  ["update workflow_run run set status = case when run.status = 'gone' then 'over' else 'failed' end", ['run: over']],
  ["with open as (select from workflow_job) select from open where open.status = 'opne'", ['either: opne']],
])('%s names a status that is not there', (sql, faults) => {
  expect(unknownIn(`\`${sql}\``)).toEqual(expect.arrayContaining(faults))
})

test.each([
  ["statusesBefore('start'); `update workflow_job job set status = 'queued' where id = $1`", ['queued']],
  ["`update workflow_job set claim = null, status = 'running' where status = any ($1)`", ['running']],
  ["statusesBefore('requeue'); `update workflow_job set status = 'queued' where status = any ($1)`", []],
])('%s makes these moves that are not among the transitions: %j', (text, stray) => {
  expect(strayIn(text)).toEqual(stray)
})

test.each([
  ['workflow_job', jobStatuses],
  ['workflow_run', runStatuses],
])('the check of %s in the database has the same statuses', (table, statuses) => {
  const schema = readFileSync(join(root, 'migrations/schema.sql'), 'utf8')
  const check = new RegExp(`constraint ${table}_status_check (.*)`).exec(schema)?.[1] ?? ''
  const named = [...check.matchAll(/'(\w+)'::text/g)].map(([, status]) => status)
  expect(new Set(named)).toEqual(new Set(statuses))
})
