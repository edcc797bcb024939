import { cloneDatabase } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Api, openApi } from '../../test/open-api.ts'
import { workflowDocument } from '../workflows/document.ts'
import { readCronSteps } from './read-cron-steps.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api

beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url)
})
afterEach(async () => {
  await api.close()
  await database.drop()
})

type Draft = { name?: string; enabled?: boolean; config?: object }

const hourly = { schedule: '0 * * * *' }

const documentOf = ({ name = 'tick', enabled = true, config = hourly }: Draft, id?: string) => ({
  name: 'leads',
  automationType: 'step',
  enabled,
  steps: [{ ...(id === undefined ? {} : { id }), name, functionName: 'CronJob', config }],
})

const cronStep = async () => {
  const [step] = (await readCronSteps(api.orm.em.fork())).steps
  return step ?? expect.fail('there is no step')
}

/** Saves one draft after the other as versions of one workflow. Of each: the number of the save since which it ticks. */
const holdsSince = async (...drafts: Draft[]): Promise<number[]> => {
  const [first = {}, ...others] = drafts
  const { id, steps } = workflowDocument.parse((await api.send('POST', '/v1/workflows', documentOf(first))).body)
  const saves = [(await cronStep()).savedAt.getTime()]
  const found = [await cronStep()]
  for (const draft of others) {
    const { headers } = await api.send('GET', `/v1/workflows/${id}`)
    const match = { 'if-match': headers.get('etag') ?? '' }
    const { status } = await api.send('PUT', `/v1/workflows/${id}`, documentOf(draft, steps[0]?.id), match)
    expect(status).toBe(200)
    found.push(await cronStep())
    saves.push(found.at(-1)?.savedAt.getTime() ?? 0)
  }
  return found.map(({ since }) => saves.findIndex((ms) => Math.abs(ms - since.getTime()) <= 1))
}

test('a step ticks from its first save on, and a save for another reason leaves that as it was', async () => {
  const later = { ...hourly, startingDeadlineSeconds: 600, overlap: 'skip' }
  expect(await holdsSince({}, { name: 'every hour' }, { config: later })).toEqual([0, 0, 0])
})

test.each([{ schedule: '30 * * * *' }, { ...hourly, timeZone: 'America/Sao_Paulo' }])(
  'with %o it ticks from that save on, also when there is another save before anybody looks',
  async (config) => {
    expect(await holdsSince({}, { config }, { config, name: 'another' })).toEqual([0, 1, 1])
  },
)

test.each([{ config: { ...hourly, suspend: true } }, { enabled: false }])(
  'what was away by %o ticks from the save that brought it back',
  async (away) => {
    expect(await holdsSince({}, away, away, {}, { name: 'another' })).toEqual([0, 0, 0, 3, 3])
  },
)

test('what a version saved that knew no notes ticks from its last save on', async () => {
  await holdsSince({})
  await api.query(`update workflow set updated_at = now() + interval '1 hour'`)
  const current = await cronStep()
  expect(current.since).not.toEqual(current.savedAt)
  for (const [column, stale, noted] of [
    ['schedule', '5 * * * *', '0 * * * *'],
    ['time_zone', 'Europe/Lisbon', 'UTC'],
    ['suspended', 'true', 'false'],
  ]) {
    await api.query(`update workflow_schedule set ${column} = '${stale}'`)
    const { since, savedAt } = await cronStep()
    expect(since, column).toEqual(savedAt)
    await api.query(`update workflow_schedule set ${column} = '${noted}'`)
  }
  await api.query('delete from workflow_schedule')
  const unknown = await cronStep()
  expect(unknown.since).toEqual(unknown.savedAt)
})
