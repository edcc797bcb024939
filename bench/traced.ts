import { carryOurs, onGround, type Turn, usualLeads } from './leads.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { type Received, startReceiver } from './services/start-receiver.ts'

const hold = 0.9
const share = 0.1

/**
 * How many leads a second go through where all processes send a tenth of their traces, and how many where none sends any? As
 * `leads` carries them, on both sides; the receiver is a process that throws away what it gets.
 */
export const benchTraced = async (place: Place, { rows, rounds }: BenchOptions): Promise<Report> => {
  const leads = rows ?? usualLeads
  const receiver = await startReceiver()
  const traces = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: String(share),
  }
  const traced: Turn[] = []
  const untraced: Turn[] = []
  let received: Received
  try {
    await onGround(place, leads, async (ground, tickId) => {
      for (let turn = 0; turn < rounds; turn += 1) {
        untraced.push(await carryOurs(ground, tickId))
        traced.push(await carryOurs(ground, tickId, traces))
      }
    })
  } finally {
    received = await receiver.stop()
  }
  if (received.bytes === 0) throw new Error('no span was sent')
  const [rates, controlRates] = [ratesOf(traced), ratesOf(untraced)]
  const ratio = ratioByRound(rates, controlRates)
  return {
    table: table(
      [`${leads.toLocaleString('en-US')} leads`, 'leads/s', 'CPU us/lead', 'to those without'],
      [
        [`${share * 100} % of the traces sent`, round(median(rates)), round(cpuOf(traced), 1), round(ratio, 2)],
        ['no traces', round(median(controlRates)), round(cpuOf(untraced), 1), null],
      ],
    ),
    verdict: {
      ours: round(median(rates)),
      control: round(median(controlRates)),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      cpuUsPerLead: { traced: round(cpuOf(traced), 1), untraced: round(cpuOf(untraced), 1) },
      received,
      leads,
      rounds,
      byRound: { traced: rates.map((rate) => round(rate)), untraced: controlRates.map((rate) => round(rate)) },
    },
  }
}

const ratesOf = (turns: readonly Turn[]): number[] => turns.map(({ perSecond }) => perSecond)

const cpuOf = (turns: readonly Turn[]): number =>
  median(turns.map(({ cpuUs }) => Object.values(cpuUs).reduce((sum, us) => sum + us, 0)))
