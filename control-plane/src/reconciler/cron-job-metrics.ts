import type { Metric } from '@esteira/service'
import type { ControlPlaneEvent } from '../log-events.ts'

/** What the reconciler counts since its start, and how the CronJobs stood after its last turn, if it leads. */
export const createCronJobMetrics = () => {
  const changes = new Map<string, number>()
  let leads: boolean | undefined
  let standing: Record<string, number> = {}
  let unavailable = 0
  const add = (change: string, more: number): void => {
    changes.set(change, (changes.get(change) ?? 0) + more)
  }

  const count = (event: ControlPlaneEvent): void => {
    switch (event.kind) {
      case 'lead.taken':
        leads = true
        break
      case 'lead.lost':
        leads = false
        standing = {}
        break
      case 'cluster.unavailable':
        unavailable += 1
        break
      case 'cron-jobs.changed':
        add('created', event.created)
        add('changed', event.changed)
        add('deleted', event.deleted)
        break
      case 'cron-jobs.drifted':
        add('repaired', event.count)
        break
      case 'cron-jobs.refused':
        add('refused', event.count)
        break
      case 'cron-jobs.seen': {
        const { kind: _, ...states } = event
        standing = states
        break
      }
      default:
    }
  }

  const read = (): Metric[] => [
    {
      name: 'esteira_cron_leader',
      type: 'gauge',
      help: 'Whether this control plane keeps the CronJobs of the cluster.',
      samples: leads === undefined ? [] : [{ value: Number(leads) }],
    },
    {
      name: 'esteira_cron_jobs',
      type: 'gauge',
      help: 'CronJob steps by what the cluster made of them.',
      samples: Object.entries(standing).map(([state, value]) => ({ labels: { state }, value })),
    },
    {
      name: 'esteira_cron_job_changes_total',
      type: 'counter',
      help: 'Changes of CronJobs in the cluster; repaired are those that somebody else had changed.',
      samples: [...changes].map(([change, value]) => ({ labels: { change }, value })),
    },
    {
      name: 'esteira_cluster_unavailable_total',
      type: 'counter',
      help: 'Times that the API server gave no usable answer.',
      samples: leads === undefined ? [] : [{ value: unavailable }],
    },
  ]
  return { count, read }
}
