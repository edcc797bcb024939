import { expect, test } from 'vitest'
import type { Ending } from '../../job/held-job.ts'
import { saidSchema } from './messages.ts'

const next = { id: 'next', functionName: 'Next' }

/** How an attempt ended, as the worker hears it from its ward: on the way it is text. */
const heard = (ending: Ending): unknown => {
  const said = { kind: 'answer', id: 1, answer: { kind: 'ended', ending, elapsedMs: 1 }, runsOn: false }
  return saidSchema.parse(JSON.parse(JSON.stringify(said)))
}

test('a stream that goes on in a new delivery is heard of also where all that it gave is in pages', () => {
  const ending: Ending = { kind: 'continued', placed: { kind: 'items', items: [], next }, cursor: undefined }
  expect(heard(ending)).toMatchObject({ answer: { ending: { ...ending, cursor: null } } })
})

test('a result that JSON has no text for is heard of as null', () => {
  const result = () => 'a function'
  const endingOf = (value: unknown): Ending => ({ kind: 'succeeded', placed: { kind: 'whole', result: value, next } })
  expect(heard(endingOf(result))).toMatchObject({ answer: { ending: endingOf(null) } })
  const outputOf = (value: unknown): Ending => ({ kind: 'succeeded', placed: { kind: 'output', output: value } })
  expect(heard(outputOf(result))).toMatchObject({ answer: { ending: outputOf(null) } })
})
