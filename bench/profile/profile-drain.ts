import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drain } from '../drain.ts'
import { round } from '../report/statistics.ts'
import { table } from '../report/table.ts'
import type { Place } from '../services/open-place.ts'
import { partOf, selfTimes } from './self-times.ts'

const functionsShown = 25

/** One more drain of the relay under Node's profiler: its parts and functions by the time they cost a row, as tables. */
export const profileDrain = (place: Place, work: { rows: number; window: number }): Promise<string> =>
  profileWork(work.rows, async (profileTo) => void (await drain('relay', place, { ...work, profileTo })))

/** The parts and functions of work that writes its profile to a file, by the time they cost a row, as tables. */
export const profileWork = async (rows: number, work: (profileTo: string) => Promise<void>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-profile-'))
  try {
    const profileTo = join(folder, 'work.cpuprofile')
    await work(profileTo)
    const times = selfTimes(await readFile(profileTo, 'utf8'))
    const parts = Object.entries(Object.groupBy(times, partOf))
      .map(([part, functions = []]) => ({ part, us: functions.reduce((sum, { us }) => sum + us, 0) }))
      .toSorted((a, b) => b.us - a.us)
    return [
      table(
        ['part', 'us/row'],
        parts.filter(({ us }) => us / rows >= 0.005).map(({ part, us }) => [part, round(us / rows, 2)]),
      ),
      table(
        ['function', 'where', 'us/row'],
        times.slice(0, functionsShown).map(({ name, place: where, us }) => [name, where, round(us / rows, 2)]),
      ),
    ].join('\n')
  } finally {
    await rm(folder, { recursive: true })
  }
}
