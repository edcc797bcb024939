/** Where a job stands. `hidden` and `staged` wait inside Postgres, `queued` and `running` are on the belt. */
export const jobStatuses = ['hidden', 'staged', 'queued', 'running', 'succeeded', 'failed', 'cancelled'] as const
export type JobStatus = (typeof jobStatuses)[number]
