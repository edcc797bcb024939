import { setTimeout as delay } from 'node:timers/promises'
import type { BenchOptions } from './options.ts'
import { percentile, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { insertRows } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'
import { type Sidecar, startSidecar } from './services/start-sidecar.ts'
import { keepQueueShort } from './services/watch-queue.ts'

const holdP95Ms = 2_000
const usualKills = 20
const allKills = 100
/** The load: so many rows at a time, some 1,000 a second, and one in each key lane. */
const rowsAtATime = 20
const pauseMs = 20

/**
 * How long does a lane stand still when its relay is killed? Two relays of one lane under load: the owner gets SIGKILL,
 * and the time runs until the heir has published and deleted a batch of that lane, and one of each key lane, which the
 * dead one had as well. Then another one takes the place of the dead.
 */
export const benchTakeover = async (place: Place, options: BenchOptions): Promise<Report> => {
  const kills = options.kills ?? (options.full ? allKills : usualKills)
  const over = new AbortController()
  const stopPurging = keepQueueShort(place)
  const load = async () => {
    while (!over.signal.aborted) {
      await insertRows(place, rowsAtATime)
      await place.db.query({ name: 'insert_keyed', text: insertKeyedSql, values: [place.queue] })
      await delay(pauseMs)
    }
  }
  const lanes = await findLanes(place)
  /** When each of the lanes had its first batch. */
  const publishes = (relay: Sidecar): Promise<number[]> =>
    Promise.all(lanes.map(async (lane) => (await relay.saw((line) => isPublish(line) && line.lane === lane)).atMs))
  const loading = load()
  let owner = start(place)
  await publishes(owner)
  const ms: { home: number[]; last: number[] } = { home: [], last: [] }
  for (let kill = 0; kill < kills; kill++) {
    const heir = start(place)
    await heir.saw(({ event }) => event === 'ready')
    // Not always at the same moment of its sweep.
    await delay(500 + Math.random() * 1_000)
    if (heir.lines.some(isPublish)) throw new Error('two relays published one lane')
    const killedMs = performance.now()
    await owner.end('SIGKILL')
    const [homeMs = Number.NaN, ...keyedMs] = await publishes(heir)
    ms.home.push(homeMs - killedMs)
    ms.last.push(Math.max(homeMs, ...keyedMs) - killedMs)
    owner = heir
  }
  over.abort()
  await loading
  await owner.end('SIGTERM')
  await stopPurging()
  const [home, last] = [summary(ms.home), summary(ms.last)]
  return {
    table: table(
      [`SIGKILL to the first publish of the heir, ms, ${kills} kills`, 'p50', 'p95', 'most'],
      [
        ['in its lane', home.p50Ms, home.p95Ms, home.mostMs],
        [`in the last of all ${lanes.length} lanes`, last.p50Ms, last.p95Ms, last.mostMs],
        ['to hold', null, holdP95Ms, null],
      ],
    ),
    verdict: {
      ours: home.p95Ms,
      control: null,
      ratio: null,
      hold: holdP95Ms,
      held: home.p95Ms <= holdP95Ms && last.p95Ms <= holdP95Ms,
      home,
      last,
      kills,
    },
  }
}

const summary = (ms: readonly number[]) => ({
  p50Ms: round(percentile(ms, 0.5)),
  p95Ms: round(percentile(ms, 0.95)),
  mostMs: round(percentile(ms, 1)),
})

/** The home lane and then the key lanes. */
const findLanes = async ({ db, lane }: Place): Promise<string[]> => {
  const { rows } = await db.query<{ name: string }>(`select name from outbox_lane where kind = 'key'`)
  return [lane.name, ...rows.map(({ name }) => name)]
}

const insertKeyedSql = `
  insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
  select id, gen_random_uuid(), $1, 'a', 'null' from outbox_lane where kind = 'key'`

/** Says each batch in its log. */
const start = (place: Place): Sidecar => startSidecar(place, { ESTEIRA_LOG_LEVEL: 'debug' })

const isPublish: Parameters<Sidecar['saw']>[0] = ({ event, confirmed = 0 }) => event === 'relay.batch' && confirmed > 0
