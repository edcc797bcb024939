/** Where a run stands. It is open while it is `running` or `cancelling`; a tick that was not to begin one is `skipped`. */
export const runStatuses = ['running', 'cancelling', 'succeeded', 'failed', 'cancelled', 'skipped'] as const
export type RunStatus = (typeof runStatuses)[number]
