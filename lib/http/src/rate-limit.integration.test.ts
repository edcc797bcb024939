import { cloneDatabase, type TestDatabase, waitFor } from '@esteira/test/support'
import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRateLimit, type RateLimitOptions } from './rate-limit.ts'

let database: TestDatabase
let pools: [Pool, Pool]

beforeAll(async () => {
  database = await cloneDatabase()
  const { url: connectionString } = database
  pools = [new Pool({ connectionString, max: 2 }), new Pool({ connectionString, max: 2 })]
})
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()))
  await database.drop()
})

const never = new AbortController().signal

/** Long beside whatever the statements of a test take; turns are told apart by it. */
const windowMs = 3_000_000
/** A call has room again when the one that many before it is so old. */
const apartMs = windowMs + windowMs / 30
const forEver = 1e9

/** A limit as one of two processes has it, each with a pool of its own, whose waits are noted and end at once. */
const setup = (name: string, options: Partial<RateLimitOptions> & { process?: 0 | 1 } = {}) => {
  const { process = 0, ...rest } = options
  const waits: number[] = []
  const wait = async (ms: number) => {
    waits.push(ms)
  }
  return { limit: createRateLimit({ db: pools[process], name, calls: 3, windowMs, wait, ...rest }), waits }
}

/** How many windows the waits were, less what the statements took. */
const windowsOf = (waits: readonly number[]): number[] => waits.map((ms) => Math.ceil(ms / apartMs))

test('as many calls as a window may have have their turn at once, and each other one behind those, of whichever process', async () => {
  const [one, other] = [setup('shared'), setup('shared', { process: 1 })]
  for (let call = 0; call < 4; call += 1) {
    expect(await one.limit.take(never, forEver)).toEqual({ kind: 'now' })
    expect(await other.limit.take(never, forEver)).toEqual({ kind: 'now' })
  }
  const windows = windowsOf([...one.waits, ...other.waits]).toSorted((a, b) => a - b)
  expect(windows).toEqual([1, 1, 1, 2, 2])
  expect(Math.max(...one.waits, ...other.waits)).toBeLessThanOrEqual(2 * apartMs)
  expect(Math.min(...one.waits, ...other.waits)).toBeGreaterThan(apartMs / 2)
})

test('calls of many at the same moment are no more in a window than it may have', async () => {
  const both = [setup('crowd'), setup('crowd', { process: 1 })]
  await Promise.all(both.flatMap(({ limit }) => Array.from({ length: 15 }, () => limit.take(never, forEver))))
  const waits = windowsOf(both.flatMap((each) => each.waits)).toSorted((a, b) => a - b)
  expect(waits).toEqual(Array.from({ length: 27 }, (_, index) => Math.floor(index / 3) + 1))
})

test('only the last calls of an account are kept, and another limit than before holds from the next call on', async () => {
  const turns = async () => {
    const { rows } = await pools[0].query<{ turns: number }>(
      `select cardinality(turns) as turns from rate_limit where name = 'kept'`,
    )
    return rows[0]?.turns
  }
  for (let call = 0; call < 9; call += 1) await setup('kept').limit.take(never, forEver)
  expect(await turns()).toBe(3)
  const narrow = setup('kept', { calls: 1 })
  await narrow.limit.take(never, forEver)
  expect(windowsOf(narrow.waits)).toEqual([3])
  expect(await turns()).toBe(1)
  // What was given away before stays given away, and turns keep their order.
  const wide = setup('kept', { calls: 5 })
  for (let call = 0; call < 4; call += 1) await wide.limit.take(never, forEver)
  expect(windowsOf(wide.waits)).toEqual([3, 3, 3, 3])
})

test('a turn that is too far off is not taken, and it is told how far', async () => {
  const { limit, waits } = setup('far', { calls: 1 })
  expect(await limit.take(never, 0)).toEqual({ kind: 'now' })
  for (const _ of [1, 2]) {
    const turn = await limit.take(never, 1_000)
    if (turn.kind !== 'later') throw new Error('the window is full')
    // The second time as well: the first has not moved it.
    expect(windowsOf([turn.waitMs])).toEqual([1])
  }
  expect(waits).toEqual([])
})

test('a pause that the API asked for holds for all, also for who had a turn before its end', async () => {
  const gates: PromiseWithResolvers<void>[] = []
  const waits: number[] = []
  const wait = (ms: number) => {
    waits.push(ms)
    const gate = Promise.withResolvers<void>()
    gates.push(gate)
    return gate.promise
  }
  const { limit } = setup('slowed', { calls: 1, wait, now: () => 0 })
  await limit.take(never, 0)
  const taken = limit.take(never, forEver)
  await waitFor(() => waits.length === 1)
  const other = setup('slowed', { calls: 1, process: 1 })
  await other.limit.slowDown(10 * windowMs)
  expect(await other.limit.take(never, windowMs)).toMatchObject({ kind: 'later' })
  gates[0]?.resolve()
  await waitFor(() => waits.length === 2)
  expect(waits[1]).toBeGreaterThan(8 * windowMs)
  await pools[1].query(`update rate_limit set slowed_until = '-infinity' where name = 'slowed'`)
  gates[1]?.resolve()
  expect(await taken).toEqual({ kind: 'now' })
})

test('a shorter pause does not end a longer one, and an account that nobody called before can be slowed down', async () => {
  const { limit } = setup('longer')
  await limit.slowDown(forEver)
  await limit.slowDown(1)
  const turn = await limit.take(never, 1_000)
  if (turn.kind !== 'later') throw new Error('there is a pause')
  expect(turn.waitMs).toBeGreaterThan(forEver / 2)
})

test('who slept through a turn takes another, so that those who come late do not come together', async () => {
  let clock = 0
  const waits: number[] = []
  const wait = async (ms: number) => {
    waits.push(ms)
    clock += ms + (waits.length === 1 ? windowMs / 30 + 1 : 0)
  }
  const { limit } = setup('late', { calls: 1, wait, now: () => clock })
  await limit.take(never, 0)
  expect(await limit.take(never, forEver)).toEqual({ kind: 'now' })
  expect(windowsOf(waits)).toEqual([1, 2])
})

test('a wait ends with its signal, and without a database nobody has a turn', async () => {
  const limit = createRateLimit({ db: pools[0], name: 'aborted', calls: 1, windowMs })
  await limit.take(never, 0)
  const cancel = new AbortController()
  const reason = new Error('the run was cancelled')
  const waiting = limit.take(cancel.signal, forEver)
  setImmediate(() => cancel.abort(reason))
  await expect(waiting).rejects.toBe(reason)
  const away = new Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })
  await expect(setup('away', { db: away }).limit.take(never, 0)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await away.end()
})
