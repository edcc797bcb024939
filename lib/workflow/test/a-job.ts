import type { HeldJob, JobOnBelt, StepOfRun } from '../src/job/held-job.ts'

/** A step as a worker has it, with nothing set that need not be. */
export const aStep: StepOfRun = {
  id: 'step',
  version: 1,
  workflowId: 'workflow',
  name: 'work',
  functionName: 'Work',
  config: {},
  outputType: null,
  retry: {},
  timeoutMs: null,
  next: null,
}

/** A job of that step that nobody has tried. */
export const aJob: JobOnBelt & Pick<HeldJob, 'revision'> = {
  id: 'job',
  runId: 'run',
  stepId: aStep.id,
  functionName: aStep.functionName,
  seq: 1,
  claim: null,
  attempt: 0,
  revision: 0,
  emitted: 0,
  traceparent: 'trace',
}
