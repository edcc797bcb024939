/** Whose a span is; every span has them. */
export const jobAttributes = (job: { id: string; runId: string; stepId: string }): Record<string, string> => ({
  'esteira.run.id': job.runId,
  'esteira.job.id': job.id,
  'esteira.step.id': job.stepId,
})
