/** What the view shows of one process or service. */
export type ServiceLine = { name: string; state: 'starting' | 'up' | 'down'; where: string }

/** What the view shows of one run; the counts are jobs, summed over its steps. */
export type RunLine = {
  id: string
  trigger: string
  status: string
  createdAt: string
  waiting: number
  succeeded: number
  failed: number
}

/** All that the view shows at one moment. */
export type Snapshot = {
  services: readonly ServiceLine[]
  /** Newest first. */
  runs: readonly RunLine[]
  leads: { count: number; last: readonly { name: string; email: string }[] }
}
