import { createLog } from '@esteira/service'
import { snooze } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { getLeads } from './get-leads.ts'
import { RdStationError } from './rd-station/index.ts'

/** What comes of a read that the API's rate limit ends. */
const throttled = (retryAfterMs?: number) => {
  const { call } = getLeads({
    contacts: async function* () {
      yield []
      throw new RdStationError('throttled', 'answered 429', {
        call: 'GET /contacts',
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      })
    },
    close: async () => {},
  })
  return call({
    config: { segmentationId: 1 },
    payload: null,
    step: { id: 'step', name: 'get leads', outputType: 'multiple', hasNext: true },
    run: { id: 'run', workflowId: 'workflow' },
    job: { id: 'job' },
    attempt: 1,
    signal: new AbortController().signal,
    log: createLog('test', 'error'),
  })
}

test('a read that the rate limit ends comes back when it is over, and burns no attempt', async () => {
  expect(await throttled(7_000)).toEqual(snooze(7_000, 'GET /contacts: answered 429'))
})

test('one that is not told when comes back after a minute, by which the API counts', async () => {
  expect(await throttled()).toEqual(snooze(60_000, 'GET /contacts: answered 429'))
})
