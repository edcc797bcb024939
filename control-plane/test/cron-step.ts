import type { TickingStep } from '../src/reconciler/cron-job-state.ts'

export const savedAt = new Date('2026-03-10T09:00:00.000Z')

/** A cron step as it is read from the tables. */
export const cronStep = ({
  config,
  ...step
}: Partial<Omit<TickingStep, 'config'>> & { config?: Partial<TickingStep['config']> } = {}): TickingStep => ({
  stepId: '019a0000-0000-7000-8000-000000000001',
  name: 'every hour',
  workflowId: '019a0000-0000-7000-8000-000000000000',
  workflowName: 'leads',
  enabled: true,
  savedAt,
  since: savedAt,
  ...step,
  config: {
    schedule: '0 * * * *',
    timeZone: 'UTC',
    startingDeadlineSeconds: 120,
    suspend: false,
    overlap: 'allow',
    ...config,
  },
})
