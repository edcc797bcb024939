import { percentile, round } from './statistics.ts'
import { table } from './table.ts'
import type { Report } from './verdict.ts'

/** Measured times, milliseconds, and what they are of. */
export type Latencies = { name: string; ms: readonly number[] }

type LatencyReport = {
  /** What the table is of. */
  title: string
  ours: Latencies
  /** Rows between ours and the control. */
  others?: readonly Latencies[]
  control: Latencies
  hold: { p50Ms: number; p99Ms: number }
  rounds: number
}

/** A table of percentiles, and whether ours hold the two that are asked for. */
export const reportLatencies = ({ title, ours, others = [], control, hold, rounds }: LatencyReport): Report => {
  const [p50, p99, controlP50] = [percentile(ours.ms, 0.5), percentile(ours.ms, 0.99), percentile(control.ms, 0.5)]
  return {
    table: table(
      [title, 'p50', 'p90', 'p99', 'most'],
      [...[ours, ...others, control].map(rowOf), ['to hold, first row', hold.p50Ms, null, hold.p99Ms, null]],
    ),
    verdict: {
      ours: round(p50, 2),
      control: round(controlP50, 2),
      ratio: round(p50 / controlP50, 2),
      hold: hold.p50Ms,
      held: p50 <= hold.p50Ms && p99 <= hold.p99Ms,
      p99Ms: round(p99, 2),
      holdP99Ms: hold.p99Ms,
      samples: ours.ms.length,
      rounds,
    },
  }
}

const rowOf = ({ name, ms }: Latencies): (string | number)[] => [
  name,
  ...[0.5, 0.9, 0.99, 1].map((share) => round(percentile(ms, share), 2)),
]
