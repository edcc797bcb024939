import { expect, test } from 'vitest'
import { type ServerTimes, timesBetween } from './server-times.ts'

const look = (rows: [pid: number, name: string, us: number][]): ServerTimes =>
  new Map(rows.map(([pid, name, us]) => [pid, { name, us }]))

test('what processes of a kind took between two looks is one sum, also of those that began meanwhile', () => {
  const before = look([[1, 'Postgres: worker', 100]])
  const after = look([
    [1, 'Postgres: worker', 150],
    [2, 'Postgres: worker', 30],
    [3, 'RabbitMQ', 7],
  ])
  expect(timesBetween(before, after)).toEqual(
    new Map([
      ['Postgres: worker', 80],
      ['RabbitMQ', 7],
    ]),
  )
})

test('of a session that has ended only what it took since the first look is counted', () => {
  const before = look([
    [1, 'Postgres: ended sessions', 1_000],
    [2, 'Postgres: worker', 100],
  ])
  // The postmaster has it from the kernel, with all that the session ever took.
  const after = look([[1, 'Postgres: ended sessions', 1_140]])
  expect(timesBetween(before, after)).toEqual(new Map([['Postgres: ended sessions', 40]]))
})
