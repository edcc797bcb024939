import { expect, test } from 'vitest'
import { createKeyRounds } from './key-rounds.ts'

const lane = () => {
  const clock = { nowMs: 0 }
  const rounds = createKeyRounds(
    { firstMs: 1_000, capMs: 4_000 },
    () => clock.nowMs,
    () => 1,
  )
  /** A pass of reads up to these keys, the last of which comes short; says what rests after each of them. */
  const pass = (left: number, ...lastKeys: string[]) => {
    rounds.startPass()
    return lastKeys.map((lastKey) => {
      rounds.read(lastKey, lastKey !== lastKeys.at(-1))(left)
      return rounds.resting()
    })
  }
  return { clock, rounds, pass }
}

test('a round passes the keys once, all rest, and the next one begins at the first key, later each time', () => {
  const { clock, rounds, pass } = lane()
  for (const waitMs of [1_000, 2_000, 4_000, 4_000]) {
    expect(rounds.isOn()).toBe(false)
    expect(pass(1, 'b', 'd')).toEqual(['b', null])
    expect(rounds.nextMs()).toBe(waitMs)
    clock.nowMs += waitMs - 1
    // Rows to queues that take them come and go meanwhile.
    expect(pass(0, 'a', 'c')).toEqual([null, null])
    clock.nowMs += 1
    expect([rounds.nextMs(), rounds.resting()]).toEqual([0, ''])
  }
})

test('a round goes on where it was cut short, and the next one waits for its end', () => {
  const { clock, rounds } = lane()
  rounds.startPass()
  rounds.read('b', true)(1)
  clock.nowMs = 10_000
  rounds.startPass()
  // Rows to queues that take them, from before that.
  rounds.read('a', true)(0)
  expect(rounds.resting()).toBe('b')
  rounds.read('c', true)(0)
  expect(rounds.resting()).toBe('c')
  rounds.read('d', false)(0)
  expect([rounds.resting(), rounds.nextMs()]).toEqual([null, 1_000])
})

test('what is on its way may come back without a confirm: no key rests, and no round ends, before it has ended', () => {
  const { rounds } = lane()
  rounds.startPass()
  const [first, second, last] = [rounds.read('b', true), rounds.read('d', true), rounds.read('e', false)]
  second(1)
  last(1)
  expect(rounds.resting()).toBe('')
  first(0)
  expect(rounds.resting()).toBeNull()

  const other = lane()
  other.rounds.startPass()
  other.rounds.read('b', true)
  other.rounds.read('d', true)(1)
  // The first one came back.
  other.rounds.startPass()
  expect(other.rounds.resting()).toBe('')
})

test('where nothing is left nothing rests, and the next round waits as the first one did', () => {
  const { clock, rounds, pass } = lane()
  expect(pass(0, 'b', 'd')).toEqual(['', ''])
  for (const waitMs of [1_000, 2_000]) {
    pass(1, 'b')
    clock.nowMs += waitMs
  }
  expect(pass(0, 'b')).toEqual([''])
  expect(rounds.nextMs()).toBeNull()
  pass(1, 'b')
  expect(rounds.nextMs()).toBe(1_000)
})

test('queues that take rows are remembered while something is left, and forgotten when one is gone', () => {
  const { clock, rounds, pass } = lane()
  rounds.took('early')
  expect(rounds.takers()).toEqual([])
  pass(1, 'b')
  rounds.took('a')
  rounds.took('b')
  rounds.missed('a')
  expect(rounds.takers()).toEqual(['b'])
  clock.nowMs = 1_000
  rounds.startPass()
  rounds.took('c')
  expect(rounds.takers()).toEqual(['b', 'c'])
  pass(0, 'b')
  expect(rounds.takers()).toEqual([])
})

test('of the queues that take rows a thousand are remembered, the last ones', () => {
  const { rounds, pass } = lane()
  pass(1, 'b')
  for (let number = 1; number <= 1_000; number += 1) rounds.took(`queue ${number}`)
  rounds.took('queue 1')
  rounds.took('another')
  expect(rounds.takers()).toHaveLength(1_000)
  expect(rounds.takers()).toContain('queue 1')
  expect(rounds.takers()).not.toContain('queue 2')
})

test('keys are compared as Postgres has them, by their bytes', () => {
  const { rounds } = lane()
  rounds.startPass()
  // By its UTF-16 units the second one comes first.
  rounds.read('\uffee', true)(1)
  rounds.read('\u{1f600}', true)(1)
  expect(rounds.resting()).toBe('\u{1f600}')
})
