import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createHouseApi,
  isAlive,
  kill,
  npmStart,
  type NpmStart,
  runningIn,
  runOn,
  summaryOf,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

/** Some three seconds of work: long enough to be hit in its middle. */
const leads = 2_000

const folder = mkdtempSync(join(tmpdir(), 'esteira-killed-'))
const data = join(folder, 'data')
let house: Awaited<ReturnType<typeof leftUp>>
const starts: NpmStart[] = []

const begin = (): NpmStart => {
  // The runs of this file ask for more pages within a minute than the usual limit of 120.
  const start = npmStart(['--once', '--keep', '--leads', String(leads), '--data', data], { RDSTATION_RATE_LIMIT: '0' })
  starts.push(start)
  return start
}

/** What a start says of itself when its run is over and everything stays up. */
const leftUp = async (start: NpmStart) => {
  const summary = summaryOf(await start.said(/^\{.*\}$/, 120_000))
  const token = await start.said(/^token +export ESTEIRA_ADMIN_TOKEN=(\S+)$/)
  const api = createHouseApi(await start.said(/^API +(http:\S+)\/v1 /), token)
  const workflowId = (await api.findWorkflow('leads'))?.id ?? ''
  const crm = await start.said(/^the leads +psql '(\S+)' /)
  const rdStation = await start.said(/^RD Station (http:\S+)/)
  return { start, summary, api, workflowId, crm, rdStation }
}

const changeRdStation = async (url: string, change: object): Promise<void> =>
  expect((await fetch(`${url}/_control`, { method: 'PUT', body: JSON.stringify(change) })).status).toBe(200)

/** Starts a run with an empty table. */
const startRun = async (): Promise<string> => {
  const { api, crm, workflowId } = house
  await runOn(crm, 'truncate leads')
  return (await api.startRun({ id: workflowId })).id
}

/**
 * Starts a run, and waits until a part of its leads is in the table: longer than the ten seconds after which a worker
 * whose broker was away asks for it again.
 */
const runInItsMiddle = async (): Promise<string> => {
  const id = await startRun()
  const inItsMiddle = async () => {
    const saving = (await house.api.run(id)).steps.find(({ name }) => name === 'save lead')
    return saving !== undefined && saving.succeeded > 0 && saving.belt + saving.staged > leads / 4
  }
  await waitFor(inItsMiddle, { deadlineMs: 30_000, describe: () => house.api.run(id) })
  return id
}

const expectEveryLead = async (runId: string): Promise<void> => {
  const run = await house.api.runOver(runId, 90_000)
  const saving = run.steps.find(({ name }) => name === 'save lead')
  expect(run.status).toBe('succeeded')
  expect(saving).toMatchObject({ staged: 0, belt: 0, succeeded: leads, failed: 0, cancelled: 0 })
  expect(await runOn(house.crm, 'select count(*)::int from leads')).toEqual([{ count: leads }])
}

const killPart = (name: string): void => {
  const pid = runningIn(data).get(name)
  if (pid === undefined) throw new Error(`nothing runs that is named ${name}`)
  kill(pid)
}

beforeAll(async () => {
  const start = begin()
  await start.said(/^run \S+: \d{2,} jobs done, [1-9]/, 120_000)
  killPart('database-query')
  house = await leftUp(start)
})
afterAll(async () => {
  await Promise.all(starts.map((start) => start.killTree()))
  rmSync(folder, { recursive: true, force: true })
})

test('--once succeeds with every lead when a worker is killed in the middle of its run', async () => {
  expect(house.summary).toMatchObject({ status: 'succeeded', jobs: leads + 2 })
  // Not those of the summary: where a minute begins meanwhile, the run of its tick has taken some of them over.
  expect(await runOn(house.crm, 'select count(*)::int from leads')).toEqual([{ count: leads }])
  const said = await house.start.said(/^(database-query was ended by SIGKILL; it is started again\n[^]*) succeeded: /)
  expect(said, 'it was killed before the run was over').toContain(house.summary.run)
})

test('a worker that is killed while it reads the leads reads them all once it is back', async () => {
  const control = `${house.rdStation}/_control`
  const reading = z.object({ inFlight: z.int().positive() })
  await changeRdStation(house.rdStation, { latencyMs: 2_000 })
  const run = await startRun()
  await waitFor(async () => reading.parse(await (await fetch(control)).json()))
  killPart('rd-station-get-leads')
  await changeRdStation(house.rdStation, { latencyMs: 0 })
  await house.start.said(/^rd-station-get-leads was ended by SIGKILL; it is started again$/)
  await expectEveryLead(run)
})

test.each(['relay of database-query', 'control-plane', 'postgres', 'rabbitmq'])(
  'a run goes on to its end when %s is killed in its middle',
  async (part) => {
    const run = await runInItsMiddle()
    killPart(part)
    await house.start.said(new RegExp(`^${part} was ended by SIGKILL; it is started again\n\\S`))
    await expectEveryLead(run)
  },
)

test('after everything was killed in the middle of a run, the next start finishes it', async () => {
  const run = await runInItsMiddle()
  const pids = [...runningIn(data).values()]
  await house.start.killTree()
  await waitFor(() => !pids.some(isAlive), { describe: 'all that was killed to be gone' })
  house = await leftUp(begin())
  expect(house.summary).toMatchObject({ status: 'succeeded', jobs: leads + 2 })
  await expectEveryLead(run)
})

test('a SIGTERM for npm, which it does not hand on, stops everything in order as well', async () => {
  const pids = [...runningIn(data).values()]
  house.start.signalNpm('SIGTERM')
  const { stdout } = await house.start.ended
  expect(stdout.trimEnd().split('\n').slice(-2)).toEqual(['rabbitmq has stopped', 'postgres has stopped'])
  expect(pids.filter(isAlive)).toEqual([])
  expect(runningIn(data)).toEqual(new Map())
})
