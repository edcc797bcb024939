import { OutboxError, reasonOf, withoutPassword } from '../errors.ts'
import { backoffMs, reconnectBackoff, spreadMs } from './backoff.ts'
import type { RelaySettings } from './options.ts'
import { pause } from './pause.ts'
import type { Turn } from './turn.ts'
import type { Bell } from './wake/bell.ts'

export type Loop = {
  /** Takes turns until the signal is aborted. */
  work: (stopping: AbortSignal) => Promise<void>
  /** Takes turns until the lane has nothing more to publish, and says whether it came to that before the deadline. */
  drain: (deadline: AbortSignal) => Promise<boolean>
}

type LoopMeans = {
  settings: RelaySettings
  bell: Bell
  turn: () => Promise<Turn>
  /** Opens the link to the broker, so that the first row after a quiet time need not wait for it. */
  openLink: () => Promise<unknown>
}

/** What follows a turn: another one at once, after a ring or some time, after all of some time, or none. */
type Next = { kind: 'at-once' } | { kind: 'bell'; ms: number } | { kind: 'pause'; ms: number } | { kind: 'over' }

/** How often a relay asks for a lane that a neighbour owns, so that a lane is not without an owner for long. */
const ownMs = 1_000

export const createLoop = ({ settings, bell, turn, openLink }: LoopMeans): Loop => {
  let failures = 0

  /** Whatever a turn throws ends here: it is said, and the next turn comes later and later. */
  const attempt = async (step: () => Promise<Next>): Promise<Next> => {
    try {
      const next = await step()
      failures = 0
      return next
    } catch (error) {
      failures += 1
      const ms = backoffMs(failures, reconnectBackoff)
      report(error, { attempt: failures, retryInMs: ms }, settings)
      return { kind: 'pause', ms }
    }
  }

  const rest = async (next: Next, signal: AbortSignal): Promise<void> => {
    if (next.kind === 'bell') await bell.wait(next.ms, signal)
    if (next.kind === 'pause') await pause(next.ms, signal)
  }

  const workOnce = async (): Promise<Next> => {
    const done = await turn()
    if (done.kind === 'waiting') return { kind: 'pause', ms: spreadMs(ownMs) }
    if (done.kind === 'blocked') return { kind: 'bell', ms: spreadMs(settings.pollMs) }
    expectNoUnknown(done)
    if (done.more) return { kind: 'at-once' }
    await openLink()
    return { kind: 'bell', ms: Math.min(spreadMs(settings.pollMs), done.nextMs ?? Number.POSITIVE_INFINITY) }
  }

  const drainOnce = async (): Promise<Next> => {
    const done = await turn()
    // Rows of a lane that a neighbour owns are its to publish.
    if (done.kind === 'waiting') return { kind: 'over' }
    if (done.kind === 'blocked') return { kind: 'bell', ms: spreadMs(settings.pollMs) }
    expectNoUnknown(done)
    return done.read === 0 ? { kind: 'over' } : { kind: 'at-once' }
  }

  return {
    work: async (stopping) => {
      while (!stopping.aborted) await rest(await attempt(workOnce), stopping)
    },
    drain: async (deadline) => {
      while (!deadline.aborted) {
        const next = await attempt(drainOnce)
        if (next.kind === 'over') return true
        await rest(next, deadline)
      }
      return false
    },
  }
}

/** Rows without a confirm are read again, but not at once: what kept the confirm back is likely still there. */
const expectNoUnknown = ({ unknown }: Extract<Turn, { kind: 'done' }>): void => {
  if (unknown > 0) throw new OutboxError('broker_lost', `${unknown} messages were not confirmed`)
}

const report = (
  error: unknown,
  again: { attempt: number; retryInMs: number },
  { observe, databaseUrl, rabbitmqUrl }: RelaySettings,
): void => {
  const reason = reasonOf(error)
  switch (error instanceof OutboxError ? error.code : null) {
    case 'database_unavailable':
    case 'session_lost':
      return observe({ kind: 'database.unavailable', address: withoutPassword(databaseUrl), reason, ...again })
    case 'broker_unavailable':
    case 'broker_lost':
      return observe({ kind: 'broker.unavailable', address: withoutPassword(rabbitmqUrl), reason, ...again })
    default:
      return observe({ kind: 'relay.failed', reason, error, ...again })
  }
}
