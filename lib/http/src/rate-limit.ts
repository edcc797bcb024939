import { pause } from './pause.ts'

/** How many calls all processes together may make to an account. */
export type RateLimit = {
  /**
   * Waits for the turn of one call; turns come in the order in which they were asked for. When it would take longer than
   * `maxWaitMs` none is taken, and the answer is how long.
   *
   * @throws the signal's reason once it is aborted, and what the database says when no turn can be had.
   */
  take: (signal: AbortSignal, maxWaitMs: number) => Promise<Turn>
  /** The API wants no call for so long: nobody has a turn until then, not even who is waiting for one already. */
  slowDown: (ms: number) => Promise<void>
}

export type Turn = { kind: 'now' } | { kind: 'later'; waitMs: number }

export type RateLimitOptions = {
  /**
   * Where Esteira's table `rate_limit` is, such as a pool of `pg`. Each statement is a transaction of its own, as one that
   * stays open would hold up all the others.
   */
  db: { query: (sql: string, values: unknown[]) => Promise<{ rows: unknown[] }> }
  /** Whose limit it is, the same in all processes. No secret: it is stored. */
  name: string
  /** Calls in a window; a few hundred at most, since the time of each is kept. */
  calls: number
  windowMs: number
  /** Ends early, without an error, once the signal is aborted. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>
  /** Milliseconds on a clock that never goes back. */
  now?: () => number
}

/**
 * A limit that is one row of Postgres, which keeps when the last calls had their turn: one has it when as many calls before
 * it as a window may have are older than that. Only the database's clock counts, and turns that lie ahead are given away
 * as well, so nobody polls.
 *
 * The API counts calls when they arrive, in windows of its own. A turn is good for a thirtieth of the window, and the
 * window is taken for longer by as much: so calls that arrive that late fit into any window of the API's. Leave room in
 * `calls` for those that take longer.
 */
export const createRateLimit = (options: RateLimitOptions): RateLimit => {
  const { db, name, calls, windowMs, wait = pause, now = () => performance.now() } = options
  const lateMs = windowMs / 30
  const limit = [name, calls, windowMs + lateMs]

  const isSlowed = async (): Promise<boolean> => (await db.query(slowedSql, [name])).rows.length > 0

  return {
    take: async (signal, maxWaitMs) => {
      for (;;) {
        signal.throwIfAborted()
        const reserved = msIn(await db.query(reserveSql, [...limit, maxWaitMs]))
        if (reserved === undefined) {
          const ms = msIn(await db.query(waitSql, limit)) ?? 0
          return { kind: 'later', waitMs: Math.max(1, Math.ceil(ms)) }
        }
        if (reserved <= 0) return { kind: 'now' }
        const due = now() + reserved
        await wait(reserved, signal)
        signal.throwIfAborted()
        // Calls that come late come together. So a turn that was slept through is given up, and another one taken.
        if (now() - due <= lateMs && !(await isSlowed())) return { kind: 'now' }
      }
    },
    slowDown: async (ms) => {
      await db.query(slowDownSql, [name, ms])
    },
  }
}

/**
 * When the next call has its turn. Never before the one before it; and what is null, as there were not so many calls
 * yet, `greatest` leaves out.
 */
const turn = `greatest(
      clock_timestamp(),
      known.slowed_until,
      known.turns[cardinality(known.turns)],
      known.turns[cardinality(known.turns) - $2::int + 1] + $3::float8 * interval '1 ms'
    )`

/**
 * Takes the next turn if it comes soon enough. The clock is read when the row is locked, so that whoever waited for the
 * lock takes no turn that is past. Locks: the row of the account, for this statement.
 */
const reserveSql = `
  insert into rate_limit as known (name, turns) values ($1, array[clock_timestamp()])
  on conflict (name) do update set turns = known.turns[cardinality(known.turns) - $2::int + 2:] || ${turn}
  where ${turn} <= clock_timestamp() + $4::float8 * interval '1 ms'
  returning extract(epoch from turns[cardinality(turns)] - clock_timestamp())::float8 * 1000 as ms`

const waitSql = `
  select extract(epoch from ${turn} - clock_timestamp())::float8 * 1000 as ms from rate_limit known where name = $1`

const slowedSql = `select from rate_limit where name = $1 and slowed_until > clock_timestamp()`

const slowDownSql = `
  insert into rate_limit as known (name, slowed_until) values ($1, clock_timestamp() + $2::float8 * interval '1 ms')
  on conflict (name) do update set slowed_until = greatest(known.slowed_until, excluded.slowed_until)`

/** The one number of an answer; undefined when it has no row. */
const msIn = ({ rows: [row] }: { rows: unknown[] }): number | undefined => {
  const ms = typeof row === 'object' && row !== null && 'ms' in row ? row.ms : undefined
  return typeof ms === 'number' ? ms : undefined
}
