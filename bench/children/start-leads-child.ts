import type { LeadsTask } from './leads/task.ts'
import { startJobProcess, type JobChild } from './start-job-child.ts'

/** Starts the control of `leads`. */
export const startLeadsChild = (task: LeadsTask): JobChild =>
  startJobProcess('leads', task, { runsUntilStopped: false })
