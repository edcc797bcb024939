import { prometheusText } from '@esteira/service'
import type { ControlPlaneEvent } from './log-events.ts'
import { createCronJobMetrics } from './reconciler/cron-job-metrics.ts'

/** What the control plane counts since its start. Of several, each counts its own: their sum is what there was. What is
 * overdue each of them sees by itself. */
export type Metrics = {
  count: (event: ControlPlaneEvent) => void
  /** In the text format of Prometheus. */
  text: () => string
}

export const createMetrics = (): Metrics => {
  const jobsLost = new Map<string, number>()
  const cronJobs = createCronJobMetrics()
  let overdue: number | undefined
  return {
    count: (event) => {
      cronJobs.count(event)
      if (event.kind === 'ticks.watched') overdue = event.overdue
      if (event.kind !== 'jobs.lost') return
      jobsLost.set(event.functionName, (jobsLost.get(event.functionName) ?? 0) + event.jobs)
    },
    text: () =>
      prometheusText([
        {
          name: 'esteira_jobs_lost_total',
          type: 'counter',
          help: 'Jobs that were sent again because RabbitMQ had lost their messages.',
          samples: [...jobsLost].map(([functionName, value]) => ({ labels: { function: functionName }, value })),
        },
        {
          name: 'esteira_cron_steps_overdue',
          type: 'gauge',
          help: 'CronJob steps whose newest tick was due two minutes ago, with no run since.',
          samples: overdue === undefined ? [] : [{ value: overdue }],
        },
        ...cronJobs.read(),
      ]),
  }
}
