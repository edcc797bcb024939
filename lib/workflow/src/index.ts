export { faultsOfExpressions } from './config/resolve-config.ts'
export { cronJobConfig, type CronJobConfig, cronJobFunction, cronJobFunctionName, cronOf } from './cron/cron-job.ts'
export { entities, openOrm } from './database/open-orm.ts'
export { isTransient } from './database/is-transient.ts'
export { WorkflowError, type WorkflowErrorCode } from './errors.ts'
export { type Fault, pointerOf } from './faults/fault.ts'
export { describeIssues, faultsOfIssues, strictObject } from './faults/faults-of-issues.ts'
export { atLeast, atMost, mustBe, mustBeOneOf, notBlank } from './faults/wording.ts'
export {
  defineFunction,
  type FunctionContext,
  type InOwnUnit,
  maxTimeoutMs,
  type StepFunction,
} from './function/define-function.ts'
export { literalText } from './function/json-schema.ts'
export { fail, type Outcome, retry, snooze } from './function/outcome.ts'
export { publishFunctions, type PublishedFunction } from './function/publish-functions.ts'
export { faultOfOutputType, withoutResultMark } from './function/without-result.ts'
export { retryPolicySchema, type RetryPolicy } from './job/retry-policy.ts'
export { jobStatuses, type JobStatus } from './job/transitions.ts'
export { attemptOutcomes, WorkflowAttempt } from './model/workflow-attempt.ts'
export { WorkflowFunction } from './model/workflow-function.ts'
export { type JobError, WorkflowJob } from './model/workflow-job.ts'
export { WorkflowRunStep } from './model/workflow-run-step.ts'
export { WorkflowRun } from './model/workflow-run.ts'
export { WorkflowStep } from './model/workflow-step.ts'
export { Workflow } from './model/workflow.ts'
export { type OpenedRun, openRun, type RunStart } from './run/open-run.ts'
export { settleWaitingRuns } from './run/settle/settle.ts'
export { readSecrets, type Secrets } from './secrets/read-secrets.ts'
export { testFunction, type Trial, type TrialJob } from './testing/test-function.ts'
export { runWorker } from './worker/run-worker.ts'
export { startWorker, type Worker, type WorkerEvent, type WorkerOptions } from './worker/start-worker.ts'
