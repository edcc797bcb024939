import type { Screen } from './view/screen.ts'

/**
 * A signal that is aborted when the process is asked to end, or when nobody is left to read what it says. `underNpm` is
 * whether npm has started it.
 */
export const signalOfEnd = (screen: Screen, underNpm: boolean): AbortSignal => {
  const stopping = new AbortController()
  const stop = (reason: string): void => {
    if (stopping.signal.aborted) return
    screen.leave()
    screen.say('stopping everything in order')
    stopping.abort(new Error(reason))
  }
  // SIGHUP is a terminal that was closed.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop(`stopped by ${name}`))
  // Services run in groups of their own and would outlive a process that fell over a broken pipe.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop('the output was closed'))
  // A SIGTERM for npm ends npm and its shell, but is not handed on: all that is seen of it here is another parent.
  const parent = process.ppid
  const watch = () => process.ppid !== parent && stop('npm is gone')
  if (underNpm) setInterval(watch, 500).unref()
  return stopping.signal
}
