import { backoffMs, reconnectBackoff } from '../backoff.ts'
import type { RelaySettings } from '../options.ts'
import { pause } from '../pause.ts'
import { tryUntilDone } from '../try-until-done.ts'
import { createBell } from '../wake/bell.ts'
import type { BrokerLink } from './broker-link.ts'

/** How often to look whether the link is up without being told, milliseconds. */
const lookMs = 10_000

/**
 * A connection that fell sooner was none: whoever opens the next one at once, and has all others do so, is the trouble of
 * a broker that is coming up or going down. One that opens no channel is given up after 15 s. Milliseconds.
 */
const youngMs = 30_000

/**
 * Keeps the connection to the broker up until the signal is aborted, apart from everything else: what has to do with
 * Postgres alone goes on while the broker is away. The pauses before the next one grow while connections do not last; but
 * not where a row was the reason, which is found by a few connections one after the other.
 */
export const keepLinked = async (
  link: BrokerLink,
  settings: RelaySettings,
  signal: AbortSignal,
  { wait = pause, now = () => performance.now() } = {},
): Promise<void> => {
  let fallen = 0
  const bell = createBell()
  const unwatch = link.watch(bell.ring)
  try {
    while (!signal.aborted) {
      const connection = await tryUntilDone(link.connect, settings, signal)
      const openedAtMs = now()
      while (link.up() && !signal.aborted) await bell.wait(lookMs, signal)
      const isFault = connection !== null && link.faultOf(connection) !== null
      fallen = isFault || now() - openedAtMs >= youngMs ? 1 : fallen + 1
      // The server's other clients lost theirs at the same moment.
      await wait(backoffMs(fallen, reconnectBackoff), signal)
    }
  } finally {
    unwatch()
  }
}
