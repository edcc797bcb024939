type Placed = { id: string; runId: string; stepId: string }
type Attempted = Placed & { attempt: number; step: { name: string; workflowId: string } }

/** Whose a span is; every span has them. */
export const jobAttributes = (job: Placed): Record<string, string> => ({
  'esteira.run.id': job.runId,
  'esteira.job.id': job.id,
  'esteira.step.id': job.stepId,
})

/** What names an attempt on every span in it: its job, its step, its workflow, and which one it is. */
export const attemptAttributes = (job: Attempted) => ({
  ...jobAttributes(job),
  'esteira.step.name': job.step.name,
  'esteira.workflow.id': job.step.workflowId,
  'esteira.attempt': job.attempt + 1,
})
