import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@esteira/test/support'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, database, useApi } from '../../test/use-api.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startTickRunner, type TickEvent } from './tick-runner.ts'

useApi()
beforeEach(() => api.query('truncate workflow, outbox_message cascade'))

const cronJob = fileURLToPath(new URL('../../../workers/cron-job/src/main.ts', import.meta.url))

/** Fires a tick by the real program, which does what `first` says when it is started for the first time. */
const fire = async (first: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-tick-'))
  const [path, pidFile] = [join(folder, 'program.mjs'), join(folder, 'pid')]
  writeFileSync(
    path,
    `import { existsSync, writeFileSync } from 'node:fs'
     if (!existsSync(${JSON.stringify(pidFile)})) {
       writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))
       ${first}
     }
     await import(${JSON.stringify(cronJob)})`,
  )
  const { body } = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps })
  const events: TickEvent[] = []
  const runner = startTickRunner({
    program: { path, env: { DATABASE_URL: database.url, ESTEIRA_LANE: 'cron-job', ESTEIRA_LOG_LEVEL: 'error' } },
    graceMs: 20_000,
    observe: (event) => events.push(event),
    pauseBefore: () => 0,
  })
  onTestFinished(async () => {
    await runner.stop()
    rmSync(folder, { recursive: true })
  })
  runner.fire({ stepId: workflowDocument.parse(body).steps[0]?.id ?? '', at: new Date('2026-03-10T09:00:00Z') })
  return {
    pid: () => Number(readFileSync(pidFile, 'utf8')),
    until: (kind: TickEvent['kind']) =>
      waitFor(() => events.some((event) => event.kind === kind), { deadlineMs: 20_000, describe: () => events }),
    events,
  }
}

const expectOneRun = async (events: readonly TickEvent[]): Promise<void> => {
  const key = events[0]?.key
  expect(events).toMatchObject([
    { kind: 'tick.retried', tries: 1, signal: 'SIGKILL', key },
    { kind: 'tick.fired', tries: 2, key },
  ])
  expect(await api.query('select idempotency_key from workflow_run')).toEqual([{ idempotency_key: key }])
  expect(await api.query('select routing_key from outbox_message')).toEqual([{ routing_key: 'RdStation.getLeads' }])
}

test('a tick whose program is killed while it writes the run is fired again and begins one run', async () => {
  const tick = await api.orm.em.fork().transactional(async (em) => {
    // The program's insert waits for this.
    await em.execute('lock table workflow_run in share mode')
    const fired = await fire('')
    await waitFor(
      async () =>
        (
          await api.query(
            `select from pg_stat_activity
             where datname = current_database() and application_name = 'cron-job' and wait_event_type = 'Lock'`,
          )
        ).length > 0,
      { deadlineMs: 20_000, describe: 'the program at its insert' },
    )
    process.kill(fired.pid(), 'SIGKILL')
    await fired.until('tick.retried')
    return fired
  })
  await tick.until('tick.fired')
  await expectOneRun(tick.events)
})

test('a tick whose program is killed before it can say that the run is written begins no second run', async () => {
  const tick = await fire(`process.once('exit', () => process.kill(process.pid, 'SIGKILL'))`)
  await tick.until('tick.fired')
  await expectOneRun(tick.events)
})
