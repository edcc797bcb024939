import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { payloadBytes } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'

const hold = 0.9
const writers = 64
const listeners = 100
/** Many short turns, so that ours and the control meet the machine in the same state. */
const turnsARound = 3
const turnMs = 1_500
/** Commits of the first moments are not counted: every statement is planned for the first time then. */
const warmUpMs = 500

/**
 * What does the doorbell cost those who write? Commits per second of 64 writers while 100 sessions listen for other
 * lanes: without any trigger (the control), with the triggers while the lane's relay is awake, and while it is said to
 * sleep and never wakes, so that every commit rings. The last one is no state that lasts, and holds nothing.
 */
export const benchBell = async (place: Place, { rounds }: BenchOptions): Promise<Report> => {
  const [listening, writing] = await Promise.all([connect(place, listeners), connect(place, writers)])
  // Behind the lane's own number, so that none of them hears it.
  await Promise.all(listening.map((client, index) => client.query(`listen outbox_lane_${place.lane.id + 1 + index}`)))
  const commits: Record<State, number[]> = { none: [], awake: [], asleep: [] }
  const states = ['none', 'awake', 'asleep'] as const
  for (let turn = 0; turn < rounds * turnsARound; turn++) {
    const order = states.map((_, index) => states[(index + turn) % states.length] ?? 'none')
    for (const state of order) {
      await prepare(place, state)
      commits[state].push(await countCommits(place, writing))
    }
  }
  await Promise.all([...listening, ...writing].map((client) => client.end()))
  const [none, awake, asleep] = [median(commits.none), median(commits.awake), median(commits.asleep)]
  const ratio = ratioByRound(commits.awake, commits.none)
  return {
    table: table(
      ['the lane', 'commits/s', 'to no trigger', 'to hold'],
      [
        ['no trigger', round(none), null, null],
        ['its relay is awake', round(awake), round(ratio, 2), hold],
        ['every commit rings', round(asleep), round(ratioByRound(commits.asleep, commits.none), 2), null],
      ],
    ),
    verdict: {
      ours: round(awake),
      control: round(none),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      everyCommitRings: round(asleep),
      writers,
      listeners,
      rounds,
    },
  }
}

/** Without any trigger; with them and a relay that is awake; with them and one that sleeps. */
type State = 'none' | 'awake' | 'asleep'

const connect = ({ databaseUrl }: Place, count: number): Promise<pg.Client[]> =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const client = new pg.Client(databaseUrl)
      await client.connect()
      return client
    }),
  )

const prepare = async ({ db, admin, lane }: Place, state: State): Promise<void> => {
  await db.query('truncate outbox_message')
  await db.query(`alter table outbox_message ${state === 'none' ? 'disable' : 'enable'} trigger user`)
  await db.query('select pg_advisory_unlock_all()')
  // As a relay does that sleeps.
  if (state === 'asleep') await db.query(`select pg_advisory_lock(x'6f757473'::int, $1)`, [lane.id])
  await admin.query('checkpoint')
}

/** Lets every writer commit one row after the other for a while; commits per second. */
const countCommits = async ({ lane, queue }: Place, clients: readonly pg.Client[]): Promise<number> => {
  const over = new AbortController()
  const payload = JSON.stringify('a'.repeat(payloadBytes - 2))
  let commits = 0
  const write = async (client: pg.Client) => {
    while (!over.signal.aborted) {
      await client.query('begin')
      await client.query({ name: 'insert_row', text: insertRowSql, values: [lane.id, queue, payload] })
      await client.query('commit')
      commits += 1
    }
  }
  const written = clients.map(write)
  await delay(warmUpMs)
  const [before, startedMs] = [commits, performance.now()]
  await delay(turnMs)
  const perSecond = ((commits - before) / (performance.now() - startedMs)) * 1_000
  over.abort()
  await Promise.all(written)
  return perSecond
}

const insertRowSql = `
  insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, $3)`
