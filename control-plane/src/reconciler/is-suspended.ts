import type { TickingStep } from './cron-job-state.ts'

/** Whether a step has no ticks for now: its own wish, or its workflow is disabled. */
export const isSuspended = ({ enabled, config }: TickingStep): boolean => !enabled || config.suspend
