import { type RdStationOptions, startRdStation } from '@esteira/dev/rd-station'
import { type Engine, functionOf, useEngine } from '@esteira/test/engine'
import { waitFor } from '@esteira/test/support'
import { sendAgain } from '@esteira/workflow'
import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { getLeads } from './get-leads.ts'
import { accountLimit, createRdStationClient } from './rd-station/index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const pageSize = 10

/** A run of `RdStation.getLeads` and a step behind it, against a stand-in; the worker's pages hold as many as the API's. */
const begin = async (
  standIn: RdStationOptions,
  outputType: 'single' | 'multiple' = 'multiple',
  retry = {},
  timeoutMs = 60_000,
) => {
  const rdStation = await startRdStation({ rateLimitPerMinute: null, ...standIn })
  onTestFinished(rdStation.stop)
  const db = new Pool({ connectionString: engine.databaseUrl, max: 2 })
  onTestFinished(() => db.end())
  const limit = accountLimit('test', 9_000, { db })
  const client = createRdStationClient({ baseUrl: rdStation.url, ...rdStation.credentials, limit })
  onTestFinished(client.close)
  const options = { pageItems: pageSize, window: 15 }
  const start = () => engine.startWorker([getLeads(client), functionOf('Take', () => undefined)], options)
  await start()
  const workflow = await engine.saveWorkflow(
    {
      functionName: 'RdStation.getLeads',
      outputType,
      config: { segmentationId: '{{ payload.segmentationId }}', pageSize, since: '{{ payload.since }}' },
      retry: { delayMs: 1, ...retry },
      timeoutMs,
    },
    { functionName: 'Take', outputType: null },
  )
  const again = (payload: object) => engine.begin(workflow, { segmentationId: 1, ...payload })
  return { again, rdStation, run: await again({}), start }
}

const uuidsOf = async (run: string): Promise<string[]> =>
  (await engine.jobs(run))
    .filter(({ step }) => step === 1)
    .map(({ payload }) => z.object({ uuid: z.string() }).parse(payload).uuid)

const expectEachOnce = async (run: string, leads: number): Promise<void> => {
  expect(await engine.over(run)).toBe('succeeded')
  const uuids = await uuidsOf(run)
  expect(uuids).toHaveLength(leads)
  expect(new Set(uuids).size).toBe(leads)
}

test('contacts that move between pages while they are read are one lead each, and none is missed', async () => {
  const { rdStation, run } = await begin({ leads: 295, shuffle: { everyPages: 2, places: 140, times: 13 } })
  await expectEachOnce(run, 295)
  expect(rdStation.control.state().requests[contactsPath]?.['200'], 'it went through them again').toBeGreaterThan(30)
})

test('so are they when calls fail in the middle, tokens run out, and the API asks to be left alone', async () => {
  const { rdStation, run } = await begin({
    leads: 295,
    shuffle: { everyPages: 3, places: 70, times: 6 },
    latencyMs: 20,
  })
  for (const [pages, status] of [
    [4, 500],
    [9, 'reset'],
    [15, 401],
    [21, 429],
  ] as const) {
    await waitFor(() => (rdStation.control.state().requests[contactsPath]?.['200'] ?? 0) >= pages)
    rdStation.control.set({ failNext: [{ status, retryAfter: 1 }] })
    rdStation.control.expireTokens()
  }
  await expectEachOnce(run, 295)
})

test('so are they when the worker stops in the middle and another goes on', async () => {
  const { rdStation, run, start } = await begin({
    leads: 295,
    shuffle: { everyPages: 3, places: 70, times: 6 },
    latencyMs: 20,
  })
  await waitFor(() => (rdStation.control.state().requests[contactsPath]?.['200'] ?? 0) >= 12)
  await engine.stopWorkers()
  const before = (await uuidsOf(run)).length
  expect(before).toBeGreaterThan(0)
  await start()
  await expectEachOnce(run, 295)
})

test('since a time only those who converted later are leads, whatever page they are on, and no page is read twice', async () => {
  const { again, rdStation, run } = await begin({ leads: 295 })
  expect(await engine.over(run)).toBe('succeeded')
  const lead = z.object({ uuid: z.string(), last_conversion_date: z.string() })
  const all = (await engine.jobs(run)).filter(({ step }) => step === 1).map(({ payload }) => lead.parse(payload))
  const times = all.map(({ last_conversion_date: last }) => Date.parse(last)).toSorted((a, b) => a - b)
  const least = times.at(-5) ?? 0
  const before = rdStation.control.state().requests[contactsPath]?.['200'] ?? 0
  const later = await again({ since: new Date(least).toISOString() })
  expect(await engine.over(later)).toBe('succeeded')
  const wanted = all.filter(({ last_conversion_date: last }) => Date.parse(last) >= least).map(({ uuid }) => uuid)
  expect(wanted).toHaveLength(5)
  expect(new Set(await uuidsOf(later))).toEqual(new Set(wanted))
  expect(rdStation.control.state().requests[contactsPath]?.['200']).toBe(2 * before)
})

test('a 503 that says when it is over costs a job no attempt, however often it comes', async () => {
  const { rdStation, run } = await begin(
    { leads: 25, failNext: [{ status: 503, retryAfter: 1, times: 3 }] },
    'multiple',
    {
      maxAttempts: 1,
    },
  )
  await expectEachOnce(run, 25)
  expect(rdStation.control.state().requests[contactsPath]).toMatchObject({ 503: 3 })
})

test('under single a 429 that is over only behind the time of an attempt costs none', async () => {
  const failNext = [{ status: 429, retryAfter: 4 }]
  const { rdStation, run } = await begin({ leads: 25, failNext }, 'single', { maxAttempts: 1 }, 2_000)
  expect(await engine.over(run, 20_000)).toBe('succeeded')
  expect(rdStation.control.state().requests[contactsPath]).toEqual({ 200: 3, 429: 1 })
})

test('a total that lies is told by the job while that tries again, and no lead comes twice once it is true', async () => {
  const { rdStation, run } = await begin({ leads: 25, totalsAdd: 3 })
  const error = async () => (await engine.jobs(run))[0]?.error
  await waitFor(async () => (await error()) !== null, { deadlineMs: 20_000 })
  expect(await error()).toMatchObject({
    code: 'contradictory_total',
    message: expect.stringContaining('5 contacts came, where a total of 28 leaves 8 for the page'),
  })
  rdStation.control.set({ totalsAdd: 0 })
  await expectEachOnce(run, 25)
})

test('contacts that nobody can store hold up no other, and are leads once they are put right and the job is sent again', async () => {
  const { again, rdStation, run: well } = await begin({ leads: 25 })
  await expectEachOnce(well, 25)
  const leads = (await engine.jobs(well)).filter(({ step }) => step === 1).slice(0, pageSize)
  const contacts = leads.map(({ payload }, at) =>
    Object.assign(z.record(z.string(), z.json()).parse(payload), at % 5 === 3 ? { name: 'A\0na' } : {}),
  )
  const headers = { 'pagination-total-rows': '25' }
  rdStation.control.set({ failNext: [{ status: 200, body: { contacts }, headers }] })
  const before = rdStation.control.state().requests[contactsPath]?.['200'] ?? 0
  const run = await again({})
  expect(await engine.over(run)).toBe('failed')
  expect(await uuidsOf(run)).toHaveLength(23)
  const calls = (rdStation.control.state().requests[contactsPath]?.['200'] ?? 0) - before
  expect(calls, 'nobody else is looked for').toBe(3)
  const [read] = await engine.jobs(run)
  expect(read?.error).toMatchObject({ code: 'unstorable', message: expect.stringContaining('2 contacts have text') })
  const by = { lane: engine.laneId, window: 15 }
  expect(await sendAgain(engine.em(), read?.id ?? '', by)).toBe('sent')
  await expectEachOnce(run, 25)
})

const contactsPath = '/platform/segmentations/1/contacts'
