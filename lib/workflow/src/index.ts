export { unstorableText } from '@esteira/outbox/internal/unstorable-text'
export { faultsOfExpressions } from './config/resolve-config.ts'
export {
  cronJobConfig,
  type CronJobConfig,
  cronJobFunction,
  cronJobFunctionName,
  cronOf,
  type Overlap,
  overlaps,
} from './cron/cron-job.ts'
export { expectSettings } from './database/expect-settings.ts'
export { entities, openOrm, sessionOptions } from './database/open-orm.ts'
export { isTransient, isTransientHere } from './database/is-transient.ts'
export { type JobErrorCode, jobErrorCodes, WorkflowError, type WorkflowErrorCode } from './errors.ts'
export { type Fault, pointerOf } from './faults/fault.ts'
export { describeIssues, faultsOfIssues, strictObject } from './faults/faults-of-issues.ts'
export { atLeast, atMost, mustBe, mustBeOneOf, notBlank } from './faults/wording.ts'
export {
  defineFunction,
  type FunctionContext,
  type InOwnUnit,
  maxTimeoutMark,
  maxTimeoutMs,
  type ResumableContext,
  type StepFunction,
} from './function/define-function.ts'
export {
  expectationMark,
  expecting,
  literalText,
  refusalMark,
  refuseBeside,
  sqlMark,
  type SqlRules,
  sqlText,
} from './function/json-schema.ts'
export { fail, type Outcome, retry, snooze } from './function/outcome.ts'
export { type Page, page } from './function/page.ts'
export { publishFunctions, type PublishedFunction } from './function/publish-functions.ts'
export { faultOfOutputType, withoutResultMark } from './function/without-result.ts'
export { cancelJob } from './run/cancel-job.ts'
export { sendAgain, type SentAgain } from './run/send-again.ts'
export { dropHiddenPages } from './job/pages/drop-hidden-pages.ts'
export { dropItemKeys } from './job/pages/drop-item-keys.ts'
export { bytesBesideText, bytesInMemory } from './payload/bytes-in-memory.ts'
export { faultOfProduct, maxPayloadRange } from './payload/payload-limit.ts'
export { retryPolicySchema, type RetryPolicy } from './model/retry-policy.ts'
export { jobStatuses, type JobStatus } from './model/job-status.ts'
export { attemptOutcomes, WorkflowAttempt } from './model/workflow-attempt.ts'
export { WorkflowFunction } from './model/workflow-function.ts'
export { type JobError, WorkflowJob } from './model/workflow-job.ts'
export { WorkflowRunStep } from './model/workflow-run-step.ts'
export { WorkflowRun } from './model/workflow-run.ts'
export { WorkflowStep } from './model/workflow-step.ts'
export { Workflow } from './model/workflow.ts'
export { defaultConsumerTimeoutMs, type ProbeTimes, probeTimes } from './probe/probe-times.ts'
export { type ProbeEvent, probeQueues } from './probe/probe-queues.ts'
export { cancelRun, carryOnCancels } from './run/cancel-run.ts'
export { findRun } from './run/find-run.ts'
export { type OpenedRun, openRun, type RunStart } from './run/open-run.ts'
export { retryRun } from './run/retry-run.ts'
export { type HeldBy, heldText, unlessHeld } from './run/unless-held.ts'
export { type RunStatus, runStatuses } from './model/run-status.ts'
export { releaseWaitingJobs } from './run/settle/release.ts'
export { defaultWindow } from './job/unit/window.ts'
export { settleWaitingRuns } from './run/settle/settle.ts'
export { readSecrets, type Secrets } from './secrets/read-secrets.ts'
export { isReference } from './secrets/reference.ts'
export { testFunction, type Trial, type TrialJob } from './testing/test-function.ts'
export { gather } from './gather/gather.ts'
export { runWorker } from './worker/run-worker.ts'
export { startWorker, type Worker } from './worker/start-worker.ts'
export type { WorkerEvent, WorkerOptions } from './worker/worker-options.ts'
