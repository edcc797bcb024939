import { backoffMs, reconnectBackoff } from '../backoff.ts'
import type { RelaySettings } from '../options.ts'
import { pause } from '../pause.ts'
import { tryUntilDone } from '../try-until-done.ts'
import { createBell } from '../wake/bell.ts'
import type { BrokerLink } from './broker-link.ts'

/** How often to look whether the link is up without being told, milliseconds. */
const lookMs = 10_000

/**
 * Keeps the connection to the broker up until the signal is aborted, apart from everything else: what has to do with
 * Postgres alone goes on while the broker is away.
 */
export const keepLinked = async (link: BrokerLink, settings: RelaySettings, signal: AbortSignal): Promise<void> => {
  const bell = createBell()
  const unwatch = link.watch(bell.ring)
  try {
    while (!signal.aborted) {
      await tryUntilDone(link.connect, settings, signal)
      while (link.up() && !signal.aborted) await bell.wait(lookMs, signal)
      // The server's other clients lost theirs at the same moment.
      await pause(backoffMs(1, reconnectBackoff), signal)
    }
  } finally {
    unwatch()
  }
}
