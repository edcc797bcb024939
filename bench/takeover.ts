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
/** The load: so many rows at a time, some 1,000 a second. */
const rowsAtATime = 20
const pauseMs = 20

/**
 * How long does a lane stand still when its relay is killed? Two relays of one lane under load: the owner gets SIGKILL,
 * and the time runs until the heir has published and deleted a batch. Then another one takes the place of the dead.
 */
export const benchTakeover = async (place: Place, options: BenchOptions): Promise<Report> => {
  const kills = options.kills ?? (options.full ? allKills : usualKills)
  const over = new AbortController()
  const stopPurging = keepQueueShort(place)
  const load = async () => {
    while (!over.signal.aborted) {
      await insertRows(place, rowsAtATime)
      await delay(pauseMs)
    }
  }
  const loading = load()
  let owner = start(place)
  await owner.saw(isPublish)
  const ms: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    const heir = start(place)
    await heir.saw(({ event }) => event === 'ready')
    // Not always at the same moment of its sweep.
    await delay(500 + Math.random() * 1_000)
    if (heir.lines.some(isPublish)) throw new Error('two relays published one lane')
    const killedMs = performance.now()
    await owner.end('SIGKILL')
    const { atMs } = await heir.saw(isPublish)
    ms.push(atMs - killedMs)
    owner = heir
  }
  over.abort()
  await loading
  await owner.end('SIGTERM')
  await stopPurging()
  const [p50, p95, most] = [percentile(ms, 0.5), percentile(ms, 0.95), percentile(ms, 1)]
  return {
    table: table(
      ['SIGKILL to the first publish of the heir, ms', 'p50', 'p95', 'most'],
      [
        [`${kills} kills`, round(p50), round(p95), round(most)],
        ['to hold', null, holdP95Ms, null],
      ],
    ),
    verdict: {
      ours: round(p95),
      control: null,
      ratio: null,
      hold: holdP95Ms,
      held: p95 <= holdP95Ms,
      p50Ms: round(p50),
      mostMs: round(most),
      kills,
    },
  }
}

/** Says each batch in its log. */
const start = (place: Place): Sidecar => startSidecar(place, { ESTEIRA_LOG_LEVEL: 'debug' })

const isPublish: Parameters<Sidecar['saw']>[0] = ({ event, confirmed = 0 }) => event === 'relay.batch' && confirmed > 0
