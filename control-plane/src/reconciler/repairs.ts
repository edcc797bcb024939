import { backoffMs } from '@esteira/outbox/internal/connection'

/** Repairs of CronJobs that somebody else changes or deletes. */
export type Repairs = {
  /** Whether that of a step may be repaired now. */
  mayRepair: (stepId: string) => boolean
  /** Notes that it was; how often it has been, one soon after the other. */
  repaired: (stepId: string) => number
}

const repairBackoff = { firstMs: 1_000, capMs: 300_000 }

/** Two resyncs: what has stood for as long was changed once, and is not being changed again and again. */
const peaceMs = 60_000

/**
 * Spaces out repairs of one CronJob: the first is made at once, the next ones after 1 s, doubling to 5 min. Another writer
 * that takes back what we write (a second control plane, a GitOps tool, an operator) would otherwise have us write as often
 * as the watch tells of it.
 *
 * It lies in the memory of who leads: after a new lead one repair more is made at once.
 */
export const createRepairs = (nowMs: () => number = () => performance.now()): Repairs => {
  const rows = new Map<string, { times: number; atMs: number; pauseMs: number }>()
  const forgetPeaceful = (): void => {
    for (const [stepId, { atMs, pauseMs }] of rows) if (nowMs() - atMs > pauseMs + peaceMs) rows.delete(stepId)
  }
  return {
    mayRepair: (stepId) => {
      const row = rows.get(stepId)
      return row === undefined || nowMs() - row.atMs >= row.pauseMs
    },
    repaired: (stepId) => {
      forgetPeaceful()
      const times = (rows.get(stepId)?.times ?? 0) + 1
      rows.set(stepId, { times, atMs: nowMs(), pauseMs: backoffMs(times, repairBackoff) })
      return times
    },
  }
}
