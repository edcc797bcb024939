import { type Drain, drain } from './drain.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'

const usualRows = 100_000
const hold = 0.95
/** Larger than what a relay reads without weighing it first. */
const others = { every: 300, bytes: 3_000 }

/** Does a larger message now and then slow a lane of small ones down? The same mix through a bare loop is the control. */
export const benchMixed = async (place: Place, options: BenchOptions): Promise<Report> => {
  const { window, rounds } = options
  const rows = options.rows ?? usualRows
  const drains: Record<'relay' | 'bare', Drain[]> = { relay: [], bare: [] }
  for (let turn = 0; turn < rounds; turn++) {
    const order = turn % 2 === 0 ? (['relay', 'bare'] as const) : (['bare', 'relay'] as const)
    for (const program of order) drains[program].push(await drain(program, place, { rows, window, others }))
  }
  const ratesOf = (program: keyof typeof drains) => drains[program].map(({ perSecond }) => perSecond)
  const [ours, bare] = [median(ratesOf('relay')), median(ratesOf('bare'))]
  const ratio = ratioByRound(ratesOf('relay'), ratesOf('bare'))
  return {
    table: table(
      [`one row in ${others.every} of ${others.bytes} B`, 'rows/s', 'ours to it', 'to hold'],
      [
        ['one relay', round(ours), null, null],
        ['bare loop', round(bare), round(ratio, 2), hold],
      ],
    ),
    verdict: {
      ours: round(ours),
      control: round(bare),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      rows,
      window,
      rounds,
    },
  }
}
