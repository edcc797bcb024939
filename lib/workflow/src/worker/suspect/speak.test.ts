import { expect, test } from 'vitest'
import { hearSaid } from './speak.ts'

/** What is heard of a message, by the name of the hook. */
const heardOf = (message: unknown): unknown[] => {
  const heard: unknown[] = []
  const hear =
    (hook: string) =>
    (...told: unknown[]) =>
      void heard.push([hook, ...told])
  hearSaid(message, {
    ready: hear('ready'),
    begun: hear('begun'),
    filled: hear('filled'),
    called: hear('called'),
    gave: hear('gave'),
    answered: hear('answered'),
  })
  return heard
}

test('what a function says on the channel of its process is passed over', () => {
  for (const said of [
    null,
    'answer',
    {},
    { kind: 'progress', id: 1 },
    { kind: 'answer' },
    { kind: 'ready', id: 'x' },
  ]) {
    expect(heardOf(said).filter((heard) => JSON.stringify(heard) !== '["ready"]')).toEqual([])
  }
})

test('what is said of a job and cannot be read is heard of as that, and nothing more is given to its process', () => {
  const answer = { kind: 'answer', id: 7, answer: { kind: 'ended', ending: { kind: 'gone' } }, runsOn: false }
  const reason = expect.stringMatching(/^its process said of it what cannot be read: .*answer\.ending\.kind/)
  expect(heardOf(answer)).toEqual([['answered', 7, { kind: 'broken', reason }, true]])
  expect(heardOf({ kind: 'gave', id: 8, given: { items: 'none' } })).toEqual([
    ['answered', 8, { kind: 'broken', reason: expect.stringContaining('given.items') }, true],
  ])
})
