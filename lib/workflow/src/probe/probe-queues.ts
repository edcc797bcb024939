import type { EntityManager } from '@mikro-orm/postgresql'
import { beginProbes } from './begin-probes.ts'
import { carryOnProbes } from './carry-on-probes.ts'
import type { ProbeTimes } from './probe-times.ts'
import { sendLostGroup } from './send-lost.ts'

/** `jobs` are those that a probe is about, and those that were lost. */
export type ProbeEvent =
  | { kind: 'probe.begun'; functionName: string; jobs: number }
  | { kind: 'probe.sent'; functionName: string }
  | { kind: 'jobs.lost'; functionName: string; jobs: number }

/** Who probes: the outbox lane for the messages. */
export type Prober = { lane: number; times: ProbeTimes; observe: (event: ProbeEvent) => void }

/**
 * One turn of the search for jobs whose messages are gone: sends again those of which that is proven, carries on the
 * probes that are under way, and begins others. Whatever a turn leaves when it is cut short, the next one finds; several
 * at a time do no harm.
 */
export const probeQueues = async (em: EntityManager, { lane, times, observe }: Prober): Promise<void> => {
  const lost = new Map<string, number>()
  for (let sent = await sendLostGroup(em, lane, times); sent !== null; sent = await sendLostGroup(em, lane, times)) {
    lost.set(sent.functionName, (lost.get(sent.functionName) ?? 0) + sent.jobs)
  }
  for (const [functionName, jobs] of lost) if (jobs > 0) observe({ kind: 'jobs.lost', functionName, jobs })
  for (const functionName of await carryOnProbes(em, lane, times)) observe({ kind: 'probe.sent', functionName })
  for (const begun of await beginProbes(em, lane, times)) observe({ kind: 'probe.begun', ...begun })
}
