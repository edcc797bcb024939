/** How a process ended, as the system tells it. */
export type Exit = { code: number | null; signal: string | null }

/** What else is known of it. */
export type Witnessed = {
  /** Why the worker ended it, if it did. */
  endedFor: string | null
  /** The last that it printed as its error. */
  printed: string
  /** The name of an error that nobody caught. */
  uncaught: string | null
}

/** How a ward died. `isOwn` is false for a signal from outside, which proves nothing against what ran in it. */
export type Death = { how: string; isOwn: boolean }

/** Says how a process died, for people: never with the text of an error, in which there may be secrets. */
export const describeDeath = ({ code, signal }: Exit, { endedFor, printed, uncaught }: Witnessed): Death => {
  if (endedFor !== null) return { how: endedFor, isOwn: true }
  if (/heap out of memory|Reached heap limit|invalid (array|table) length Allocation failed/i.test(printed)) {
    return { how: 'it ran out of memory', isOwn: true }
  }
  if (signal === null) {
    const why = uncaught === null ? '' : `, for an error that nobody caught (${uncaught})`
    return { how: `it ended with exit code ${code ?? 'unknown'}${why}`, isOwn: true }
  }
  // The system kills whoever it likes when the machine is short of memory, and so may a person.
  return { how: `it was ended by ${signal}`, isOwn: !fromOutside.has(signal) }
}

const fromOutside = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'])
