import { onTestFinished } from 'vitest'
import type { RelayOptions } from '../src/relay/index.ts'
import { checkOptions } from '../src/relay/options.ts'
import { createListener } from '../src/relay/wake/listener.ts'

/** A listener that has its sessions until it is closed, or the test is finished. */
export const startListener = (options: RelayOptions, now?: () => number) => {
  const listener = createListener(checkOptions(options), now)
  const ending = new AbortController()
  const kept = listener.keep(ending.signal)
  const close = async () => {
    ending.abort()
    await kept
  }
  onTestFinished(close)
  return { ...listener, close }
}
