/** A status; or the connection was reset on purpose; or the client did not wait for the answer. */
export type Outcome = number | 'reset' | 'gone'

export type RequestCounts = {
  /** Requests that are being answered now. */
  inFlight: number
  /** How many requests for each path, without its query, ended with each outcome. */
  requests: Record<string, Record<string, number>>
}

export type Requests = {
  /** Counts a request in, and by what it returns, out again. */
  begin: (path: string) => (outcome: Outcome) => void
  counts: () => RequestCounts
}

export const createRequests = (): Requests => {
  const counts: RequestCounts = { inFlight: 0, requests: {} }
  return {
    begin: (path) => {
      counts.inFlight += 1
      return (outcome) => {
        counts.inFlight -= 1
        const outcomes = (counts.requests[path] ??= {})
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      }
    },
    counts: () => structuredClone(counts),
  }
}
