import { OutboxError } from '../../errors.ts'
import { isInstance } from '../../values/is-instance.ts'
import { backoffMs, spreadMs } from '../backoff.ts'
import { pause } from '../pause.ts'
import { reportFailure, tryUntilDone } from '../try-until-done.ts'
import type { RelaySettings } from '../options.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import type { LaneChannel } from '../publish/lane-channel.ts'
import { holdsDue, holdsRows } from '../read/holds-rows.ts'
import { freeDoorbell } from '../wake/doorbell.ts'
import type { Lookout } from '../wake/lookout.ts'
import { fallAsleep, sleep } from '../wake/sleep.ts'
import { afterLateConfirms } from './late-confirms.ts'
import type { OwnedLane } from './owned-lane.ts'
import type { Pass } from './pass.ts'
import type { PayloadMemory } from './payload-memory.ts'
import { takePass } from './take-pass.ts'

/**
 * How the work on a lane ended. `asleep`: the lane was to be left, and nobody has looked into it since it slept with nothing
 * in it.
 */
export type LaneEnd = 'empty' | 'asleep' | 'left'

export type LaneMeans = {
  settings: RelaySettings
  link: BrokerLink
  channel: LaneChannel
  lookout: Lookout
  memory: PayloadMemory
  /** Ends the work at once: the lane is lost or given up, or the time for it is over. */
  leaving: AbortSignal
  /** Ends the work when the lane is empty. */
  draining: AbortSignal
  /** Whether the lane is kept when it is empty. */
  stays: boolean
}

/**
 * For a lane that has something to do, and of which a pass brings nothing: a writer has the key of a row that is due, or
 * somebody has locked it. What a writer commits meanwhile ends the pause.
 */
const fruitlessBackoff = { firstMs: 2, capMs: 200 }

/** The same when the lane is to be left. What becomes due meanwhile need not go at once, so Postgres is asked less often. */
const fruitlessAtLastBackoff = { firstMs: 2, capMs: 1_000 }

/**
 * Carries the rows of an owned lane until the lane is to be left, or nothing is left in it that could be published, and
 * says whether it came to that. Whatever goes wrong is told and tried again, later and later; the loss of the session
 * aborts `leaving`.
 */
export const runLane = async (owned: OwnedLane, means: LaneMeans): Promise<LaneEnd> => {
  const { settings, link, channel, lookout, memory, leaving, draining, stays } = means
  const { bell } = owned
  const passMeans = { ...settings, link, channel, memory, leaving }
  // A ring would not do: a lane that is falling asleep takes it for that of a row, finds none, and sleeps.
  const waking = AbortSignal.any([leaving, draining])
  /** Whether there is nothing to wait for the broker with. */
  const isEmpty = async () => !(await holdsRows(owned.session, owned.lane))
  const leavesDue = () => holdsDue(owned.session, owned.lane)
  let fruitless = 0
  /** Those of them that began when the lane was to be left: what committed before that was there for them to find. */
  let fruitlessAtLast = 0
  /** Passes one after the other that left rows without a confirm, and had no other answer. */
  let late = 0
  let isAsleep = false
  while (!leaving.aborted) {
    const isLast = draining.aborted
    const pass = await tryUntilDone(() => passOnce(owned, passMeans), settings, leaving)
    if (pass === null) return 'left'
    if (pass === 'no way out') {
      if (draining.aborted && (await tryUntilDone(isEmpty, settings, leaving)) === true) return 'empty'
      isAsleep = false
      await bell.wait(spreadMs(settings.pollMs), draining.aborted ? leaving : waking)
      continue
    }
    if (pass.read > 0 || pass.moved > 0) {
      fruitless = 0
      fruitlessAtLast = 0
      isAsleep = false
      late = pass.unknown > 0 ? await waitForLate(pass, late, means) : 0
      continue
    }
    fruitless += 1
    if (isLast) fruitlessAtLast += 1
    // In a key lane not every pass moves what is due; the next one does.
    if (fruitlessAtLast > (owned.kind === 'key' ? 1 : 0)) {
      if ((await tryUntilDone(leavesDue, settings, leaving)) === false) return 'empty'
      isAsleep = false
    }
    const rest = await tryUntilDone(() => fallAsleep(owned, waking), settings, leaving)
    if (rest?.kind === 'sleep') {
      if (!stays && rest.nextMs === null) return 'empty'
      const rang = await sleep(owned, rest.nextMs, lookout, waking)
      isAsleep = draining.aborted && !rang
      fruitless = 0
    } else if (fruitless > 1) {
      // Not after the first one: a row may have come between the pass and the look.
      const pauseMs = isLast
        ? backoffMs(fruitlessAtLast, fruitlessAtLastBackoff)
        : backoffMs(fruitless - 1, fruitlessBackoff)
      await bell.wait(pauseMs, draining.aborted ? leaving : waking)
    }
    await tryUntilDone(() => freeDoorbell(owned), settings, leaving)
  }
  return isAsleep ? 'asleep' : 'left'
}

/**
 * Waits before rows without a confirm are tried again; says how many passes one after the other were of this kind. A link
 * that fell has told why, and is waited for as one that is not there.
 */
const waitForLate = async (pass: Pass, before: number, { settings, link, leaving }: LaneMeans): Promise<number> => {
  if (!link.up() || leaving.aborted) return 0
  const again = afterLateConfirms(pass, before)
  reportFailure(new OutboxError('broker_lost', `${pass.unknown} messages were not confirmed`), again, settings)
  await pause(again.retryInMs, leaving)
  return again.attempt
}

const passOnce = async (owned: OwnedLane, means: Parameters<typeof takePass>[1]): Promise<Pass | 'no way out'> => {
  const { link, channel } = means
  // Whoever looks after the link rings when it is up again.
  if (!link.up() || link.blocked()) return 'no way out'
  try {
    // Before there is a row, so that the first one need not wait for it.
    await channel.open()
    return await takePass(owned, means)
  } catch (error) {
    // It fell meanwhile, and why is told. Counted as a failure of this lane's, it would wait longer and longer for what
    // another lane's row does to the link, also when that is up.
    if (isUnavailable(error) && !link.up()) return 'no way out'
    throw error
  }
}

const isUnavailable = (error: unknown): boolean => isInstance(error, OutboxError) && error.code === 'broker_unavailable'
