import { type Backoff, backoffMs } from '../backoff.ts'
import type { Pass } from './pass.ts'

/**
 * Before rows without a confirm are tried again: what kept it back is likely still there. The first step is short, since
 * the other rows of the lane wait as well.
 */
const lateBackoff: Backoff = { firstMs: 100, capMs: 10_000 }

/**
 * How many passes one after the other left rows without a confirm, this one among them, and how long to wait before the
 * next. Where anything else went through the broker answers, and one destination that does not holds up nobody else: the
 * count begins anew.
 */
export const afterLateConfirms = (
  { confirmed, refused }: Pick<Pass, 'confirmed' | 'refused'>,
  before: number,
  random?: () => number,
): { attempt: number; retryInMs: number } => {
  const attempt = confirmed + refused > 0 ? 1 : before + 1
  return { attempt, retryInMs: backoffMs(attempt, lateBackoff, random) }
}
