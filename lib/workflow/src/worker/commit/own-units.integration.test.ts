import { readFile } from 'node:fs/promises'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { saveLead } from '../../../test/examples/save-lead.ts'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { note, ownFunction, useOwnUnits } from '../../../test/own-units.ts'
import { fail, snooze } from '../../index.ts'

let engine: Engine

const { begin, jobOf, leadsWorkflow, notes } = useOwnUnits((opened) => {
  engine = opened
})

test('the README shows the function that these tests run', async () => {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8')
  const example = await readFile(new URL('../../../test/examples/save-lead.ts', import.meta.url), 'utf8')
  expect(readme).toContain(`\`\`\`ts\n// save-lead.ts\n${example}\`\`\``)
})

test('a row is written with its job, and one that the database refuses fails its own job alone', async () => {
  await engine.startWorker([saveLead, functionOf('next', () => null)])
  const emails = ['ana@example.com', 'bia@example.com', 'ana@example.com', 'caio@example.com']
  const run = await engine.begin(
    await leadsWorkflow(),
    emails.map((email) => ({ email })),
  )
  expect(await engine.over(run)).toBe('failed')
  const jobs = await engine.jobs(run)
  const saved = jobs.filter(({ step, status }) => step === 1 && status === 'succeeded')
  expect(saved).toHaveLength(3)
  expect(await engine.query('select id, email from lead order by id')).toEqual(
    saved.map(({ id, payload }) => ({ id, ...z.object({ email: z.string() }).parse(payload) })),
  )
  const passedOn = jobs.filter(({ step }) => step === 2).map(({ payload }) => payload)
  expect(passedOn).toHaveLength(3)
  expect(passedOn).toEqual(expect.arrayContaining(saved.map(({ id }) => ({ leadId: id }))))
  const [refused, ...others] = jobs.filter(({ status }) => status === 'failed')
  expect(others).toEqual([])
  expect(refused).toMatchObject({ attempt: 1, error: { code: 'write_refused' } })
  expect(refused?.error?.message).toContain('lead_email_key')
  expect(refused?.error?.message).not.toContain('ana@example.com')
  expect(await engine.attempts(refused?.id ?? '')).toMatchObject([{ outcome: 'failed', attempt: 1 }])
})

test('a function that goes on after a refused statement as if nothing were fails, with all that it wrote', async () => {
  await engine.startWorker([
    ownFunction('ignores', async ({ em, job }) => {
      await note(em, job.id, 'before')
      await em.execute('select 1 / 0').catch(() => null)
      return 'done'
    }),
  ])
  const run = await begin('ignores')
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  expect((await jobOf(run)).error?.message).toContain('current transaction is aborted')
  expect(await notes()).toEqual([])
})

test('what a trigger of the function refuses at the commit fails its job', async () => {
  await engine.query(`
    create function refuse_note() returns trigger language plpgsql as $$
      begin raise exception 'no notes on Sundays'; end $$;
    create constraint trigger refuse_note after insert on note deferrable initially deferred
      for each row when (new.text = 'sunday') execute function refuse_note()`)
  await engine.startWorker([ownFunction('sunday', ({ em, job }) => note(em, job.id, 'sunday'))])
  const run = await begin('sunday', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  const message = 'the result cannot be stored: no notes on Sundays'
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected', message } })
})

test('what is refused only at the commit fails its job as well, and keeps nothing of it', async () => {
  await engine.startWorker([ownFunction('deferred', ({ em, job }) => note(em, job.id, 'the same'))])
  expect(await engine.over(await begin('deferred', null, { outputType: null }))).toBe('succeeded')
  const run = await begin('deferred', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  expect(await notes()).toHaveLength(1)
})

test('nothing stays of an attempt that did not succeed, and its retry writes once', async () => {
  const ends = [
    () => {
      throw new Error('after all')
    },
    () => snooze(0, 'not now'),
    () => 'done',
  ]
  await engine.startWorker([
    ownFunction('retried', async ({ em, job }) => {
      await note(em, job.id, 'once')
      return ends.shift()?.()
    }),
    ownFunction('given-up', async ({ em, job }) => {
      await note(em, job.id, 'never')
      return fail('the account is closed')
    }),
  ])
  const run = await begin('retried', null, { retry: { delayMs: 0 } })
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ seq: 3, attempt: 2, output: 'done' })
  const outcomes = (await engine.attempts((await jobOf(run)).id)).map(({ outcome }) => outcome)
  expect(outcomes).toEqual(['retried', 'snoozed'])
  expect(await engine.over(await begin('given-up'))).toBe('failed')
  expect(await notes()).toEqual([{ text: 'once' }])
})

const inSql = async (em: EntityManager, ...statements: string[]): Promise<void> => {
  for (const statement of statements) await em.execute(statement)
}

const ways: readonly [string, (em: EntityManager) => Promise<unknown>][] = [
  ['commits', (em) => em.commit()],
  ['commits and begins again', (em) => em.commit().then(() => em.begin())],
  ['commits in SQL', (em) => inSql(em, 'commit')],
  ['rolls back in SQL', (em) => inSql(em, 'rollback')],
  ['commits and begins again in SQL', (em) => inSql(em, 'commit', 'begin')],
]

test.each(ways)('a function that %s by itself fails, and says what it may not do', async (name, leave) => {
  await engine.startWorker([
    ownFunction(name, async ({ em }) => {
      await leave(em)
      return [1, 2]
    }),
    functionOf('next', () => null),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: 'next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('failed')
  expect(await engine.jobs(run)).toMatchObject([{ attempt: 1, error: { code: 'unit_left' } }])
})

test('one that leaves its transaction and fails then is not called again: what it wrote may be there', async () => {
  await engine.startWorker([
    ownFunction('leaves and throws', async ({ em, job }) => {
      await note(em, job.id, 'left')
      await inSql(em, 'commit')
      throw new Error('after all')
    }),
  ])
  const run = await begin('leaves and throws', null, { retry: { delayMs: 0 } })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'unit_left' } })
  expect(await notes()).toEqual([{ text: 'left' }])
})

test('one that makes its transaction read-only fails: the end of its job cannot be written there', async () => {
  await engine.startWorker([ownFunction('reads only', ({ em }) => inSql(em, 'set transaction read only'))])
  const run = await begin('reads only', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  expect((await jobOf(run)).error?.message).toContain('read-only transaction')
})

test.each([
  ['goes on as another role', 'set local role pg_read_all_data'],
  ['looks for tables elsewhere', 'set search_path to elsewhere'],
  ['reads times elsewhere', `set time zone 'Asia/Tokyo'`],
])('one that %s does so for itself alone: neither its end nor the next job has anything of it', async (name, set) => {
  await engine.startWorker([
    ownFunction(name, async ({ em, job }) => {
      await note(em, job.id, 'written')
      await inSql(em, set)
    }),
    ownFunction('next on it', async ({ em }) => em.execute(sessionSql)),
  ])
  expect(await engine.over(await begin(name))).toBe('succeeded')
  expect(await notes()).toEqual([{ text: 'written' }])
  const run = await begin('next on it')
  expect(await engine.over(run)).toBe('succeeded')
  expect((await jobOf(run)).output).toEqual(await engine.query(sessionSql))
})

test.each([
  ['goes on as another role', 'set role pg_read_all_data'],
  ['looks for tables elsewhere', 'set search_path to elsewhere'],
  ['waits for no lock', `set lock_timeout to '1ms'`],
])('one that %s and commits that by itself fails, and leaves nothing of it to the next job', async (what, set) => {
  const name = `${what}, for good`
  await engine.startWorker([
    ownFunction(name, async ({ em }) => {
      await inSql(em, set)
      await em.commit()
    }),
    ownFunction('behind it', async ({ em }) => em.execute(`${sessionSql}, current_setting('lock_timeout') as waits`)),
  ])
  const left = await begin(name)
  expect(await engine.over(left)).toBe('failed')
  expect(await jobOf(left)).toMatchObject({ attempt: 1, error: { code: 'unit_left' } })
  const run = await begin('behind it')
  expect(await engine.over(run)).toBe('succeeded')
  const [session] = z.tuple([z.looseObject({})]).parse(await engine.query(sessionSql))
  expect((await jobOf(run)).output).toEqual([{ ...session, waits: '0' }])
})

/** As whom a session goes on, and what it was told but how long something may take. */
const sessionSql = `
  select current_user::text as role,
         array(select name from pg_settings where source = 'session' and name not like '%timeout' order by name) as told`

test('a savepoint of the function leaves nothing', async () => {
  await engine.startWorker([
    ownFunction('nested', async ({ em, job }) => {
      await em.transactional((inner) => note(inner, job.id, 'inner'))
      return 'done'
    }),
  ])
  const run = await begin('nested')
  expect(await engine.over(run)).toBe('succeeded')
  expect(await notes()).toEqual([{ text: 'inner' }])
})
