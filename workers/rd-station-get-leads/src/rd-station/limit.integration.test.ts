import { startRdStation } from '@esteira/dev/rd-station'
import { cloneDatabase, type TestDatabase } from '@esteira/test/support'
import { Pool } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createRdStationClient } from './client.ts'
import { accountLimit, noLimit } from './limit.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await cloneDatabase()
})
afterAll(() => database.drop())

const contactsPath = '/platform/segmentations/1/contacts'

/** Nobody comes twice, and nobody gives up. */
const once = { written: async () => Number.MAX_SAFE_INTEGER, signal: new AbortController().signal }

/** The minute of these tests has three seconds: the stand-in's clock runs so much faster. */
const faster = 20

/** What pods that read at the same time are answered; each has its own connections, and all have one account. */
const readBy = async (pods: number, { pages, callsAMinute }: { pages: number; callsAMinute: number | null }) => {
  const began = Date.now()
  let ahead = 0
  const now = () => began + ahead + (Date.now() - began) * faster
  const pageSize = 5
  // The last page is not full.
  const rdStation = await startRdStation({ leads: pages * pageSize - 1, now })
  onTestFinished(rdStation.stop)
  // The window that the API counts in is open for half a minute when the pods begin: theirs are never the same.
  const first = createRdStationClient({ baseUrl: rdStation.url, ...rdStation.credentials })
  for await (const _ of first.contacts({ ...once, segmentationId: 2, pageSize })) break
  await first.close()
  ahead = 30_000
  const readAll = async () => {
    const db = new Pool({ connectionString: database.url, max: 2 })
    onTestFinished(() => db.end())
    const limit = accountLimit(`read by ${pods}`, callsAMinute, { db, windowMs: 60_000 / faster })
    const client = createRdStationClient({ baseUrl: rdStation.url, ...rdStation.credentials, limit })
    onTestFinished(client.close)
    const query = { ...once, segmentationId: 1, pageSize, waitsOut: limit !== noLimit }
    return (await Array.fromAsync(client.contacts(query))).length
  }
  const reads = await Promise.allSettled(Array.from({ length: pods }, readAll))
  return {
    pages: reads.map((read) => (read.status === 'fulfilled' ? read.value : 0)),
    answers: rdStation.control.state().requests[contactsPath],
  }
}

test('two pods that read 300 pages each of one account at the same time see no 429', { timeout: 120_000 }, async () => {
  expect(await readBy(2, { pages: 300, callsAMinute: 120 })).toEqual({ pages: [300, 300], answers: { 200: 600 } })
})

test('without the limit they do', async () => {
  const { answers } = await readBy(2, { pages: 300, callsAMinute: null })
  expect(answers?.['429']).toBeGreaterThan(0)
})
