import { backoffMs } from '@esteira/outbox/internal/connection'

/** A worker that is away longer than the cap from a broker that is back leaves its queues standing. */
const reopenBackoff = { firstMs: 250, capMs: 5_000 }

/** How long to wait before try number `attempt` to open a line or a channel again, counted from 1, milliseconds. */
export const reopenPauseMs = (attempt: number, random?: () => number): number =>
  backoffMs(attempt, reopenBackoff, random)
