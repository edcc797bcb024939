import { expect, test } from 'vitest'
import type { Log } from '@esteira/service'
import { logObservation } from './log-observation.ts'

const recordingLog = () => {
  const lines: Record<string, unknown>[] = []
  const at = (level: string) => (fields: object) => void lines.push({ level, ...fields })
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { log, lines }
}

test('an observation becomes a line whose event is its kind', () => {
  const { log, lines } = recordingLog()
  logObservation(log, { kind: 'relay.batch', lane: 'pod', confirmed: 3, refused: 0, unknown: 0, ms: 4 })
  logObservation(log, { kind: 'relay.lost', reason: 'the control session ended' })
  expect(lines).toEqual([
    { level: 'debug', event: 'relay.batch', lane: 'pod', confirmed: 3, refused: 0, unknown: 0, ms: 4 },
    { level: 'warn', event: 'relay.lost', reason: 'the control session ended' },
  ])
})

test('an error is written as the logger expects it, with its stack', () => {
  const { log, lines } = recordingLog()
  const error = new Error('unheard of')
  logObservation(log, { kind: 'relay.failed', reason: 'unheard of', error, attempt: 1, retryInMs: 250 })
  expect(lines).toEqual([
    { level: 'error', event: 'relay.failed', reason: 'unheard of', err: error, attempt: 1, retryInMs: 250 },
  ])
})
