import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import pg from 'pg'
import * as z from 'zod'
import { startJobClock, untilGo } from '../job-messages.ts'
import { insertLeadSql, leadsTaskSchema, paramsOf, segmentationId } from './task.ts'

/**
 * graphile-worker with the two tasks of `leads` and nothing else: one reads the contacts page by page and adds a job for
 * each, the other inserts one. In its fastest mode: a queue of its own in memory, and completions in batches.
 */
const { databaseUrl, crmUrl, baseUrl, credentials, leads, inHand } = leadsTaskSchema.parse(
  JSON.parse(process.argv[2] ?? ''),
)
const logger = new Logger(() => () => {})
const concurrency = 24
const crm = new pg.Pool({ connectionString: crmUrl, max: concurrency })
const utils = await makeWorkerUtils({ connectionString: databaseUrl, logger })
await utils.migrate()

const reply = <T extends z.ZodType>(schema: T, url: string, init: RequestInit) =>
  fetch(url, init).then(async (response) => schema.parse(await response.json()))

const readPages = async function* () {
  const { access_token: token } = await reply(z.object({ access_token: z.string() }), `${baseUrl}/auth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(credentials),
  })
  const pages = z.object({ contacts: z.array(z.record(z.string(), z.unknown())) })
  for (let page = 1; ; page += 1) {
    const { contacts } = await reply(
      pages,
      `${baseUrl}/platform/segmentations/${segmentationId}/contacts?page=${page}&page_size=125`,
      { headers: { authorization: `Bearer ${token}` } },
    )
    if (contacts.length === 0) return
    yield contacts
  }
}

let finished = Promise.withResolvers<void>()
let inserted = 0
const carry = async (): Promise<void> => {
  inserted = 0
  finished = Promise.withResolvers()
  await utils.addJob('getLeads', {})
  await finished.promise
}
const runner = await run({
  connectionString: databaseUrl,
  logger,
  concurrency,
  noHandleSignals: true,
  pollInterval: 100,
  preset: { worker: { localQueue: { size: inHand }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  taskList: {
    getLeads: async () => {
      for await (const contacts of readPages()) {
        await utils.addJobs(contacts.map((payload) => ({ identifier: 'insertLead', payload })))
      }
    },
    insertLead: async (payload) => {
      await crm.query({ name: 'insert', text: insertLeadSql, values: paramsOf(payload) })
      inserted += 1
      if (inserted === leads) finished.resolve()
    },
  },
})
await carry()
await untilGo()
const done = startJobClock()
await carry()
// The last batches of completions are written by then, as all of ours are.
await runner.stop()
done(inserted)
await utils.release()
await crm.end()
