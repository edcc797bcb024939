import { enqueue, type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Span } from '@opentelemetry/api'
import { v7 as uuidv7 } from 'uuid'
import { cronJobFunctionName, type Overlap } from '../cron/cron-job.ts'
import { WorkflowError } from '../errors.ts'
import type { Ending, StepOfRun } from '../job/held-job.ts'
import { jobMessage, newJob } from '../job/new-job.ts'
import { defaultMaxPayloadBytes, faultOfProduct, isLarge, limitPayload } from '../payload/payload-limit.ts'
import { placeResult } from '../payload/place-result.ts'
import { writeUnit } from '../job/unit/write-unit.ts'
import { type JobError, WorkflowJob } from '../model/workflow-job.ts'
import { findRun } from './find-run.ts'
import { loadSteps } from './load-steps.ts'
import { applyOverlap, lockWorkflow } from './overlap.ts'
import { endIfOver } from './settle/settle.ts'
import { heldText, unlessHeld } from './unless-held.ts'

/** What begins a run. `lane` is the outbox lane of the process that begins it. */
export type RunStart = {
  workflow: { id: string; version: number }
  stepId: string
  trigger: 'cron' | 'manual'
  idempotencyKey: string
  payload: unknown
  /** Whether the payload is the one in the step's config. A long list of items is not stored a second time then. */
  isOfStep?: boolean
  /** What the payload may have as JSON, or each of its items where it is given out so; 1 MiB unless given. */
  maxPayloadBytes?: number
  lane: number
  worker: string
  /** What it does while another run of the workflow is open; `allow` unless given. */
  overlap?: Overlap
  window?: number
}

/**
 * The run of a key. `created` is false when the key had written it before, `skipped` says that it is there but did not
 * begin, and `error` is why its first job failed at once.
 */
export type OpenedRun = { runId: string; created: boolean; skipped: boolean; error: JobError | null }

/**
 * Begins a run at a step, in one unit of work: the run, its counters, its first job, and the message for it. A CronJob
 * step has nothing to wait for: its job is over at once and the next step's jobs are written in the same commit. The
 * same key never begins a second run. One that must not begin beside another is a row too, `skipped` and without jobs.
 *
 * @throws WorkflowError `step_unknown` when the version has no such step, `workflow_disabled`, `step_deleted` when the
 * workflow was deleted, `payload_too_large`. `workflow_busy`, which may pass by itself, when somebody holds locked what it
 * needs: the workflow, with `overlap: 'cancel'` an open run of it, or the key, with which another is being begun.
 */
export const openRun = async (em: EntityManager, start: RunStart): Promise<OpenedRun> => {
  const workflowId = start.workflow.id
  const written = await unlessHeld(em, { workflowId }, (em) => writeRun(em, start))
  if ('heldBy' in written) {
    throw new WorkflowError('workflow_busy', heldText(`workflow ${workflowId}`, written), { final: false })
  }
  const { spans, ...opened } = written
  for (const span of spans) span.end()
  // A run that was over with its first commit (an empty array, no next step) has nobody else to end it soon.
  if (opened.created && !opened.skipped) await endIfOver(em, [opened.runId])
  return opened
}

/** `spans` are those of the jobs that are written, to be ended when they have committed. */
const writeRun = async (em: EntityManager, start: RunStart): Promise<OpenedRun & { spans: readonly Span[] }> => {
  const steps = await loadSteps(em, start.workflow.id, start.workflow.version)
  const step = steps.find(({ id }) => id === start.stepId)
  if (step === undefined) {
    throw new WorkflowError(
      'step_unknown',
      `version ${start.workflow.version} of workflow ${start.workflow.id} has no step ${start.stepId}`,
    )
  }
  const keeps = keptPayload(step, start)
  const tx = queryable(em)
  const overlap = start.overlap ?? 'allow'
  await lockWorkflow(tx, start.workflow.id, overlap)
  const run = await insertRun(em, start)
  const opened = { runId: run.id, created: run.created, skipped: false, error: null, spans: [] }
  if (!run.created) return opened
  if ((await applyOverlap(tx, { id: run.id, workflowId: start.workflow.id }, overlap)) === 'skipped') {
    // The one row that says where it would have begun.
    await insertCounters(tx, run.id, [step], null)
    return { ...opened, skipped: true }
  }
  await insertCounters(tx, run.id, steps, step)
  const first = { runId: run.id, stepId: step.id, parentId: null, itemIndex: null, payload: keeps }
  const { created: root, ...job } = newJob(first, step.functionName)
  // JSON's null is SQL's.
  em.create(
    WorkflowJob,
    { ...job, payload: job.payload ?? null, output: null, cursor: null, status: 'queued' },
    { persist: true },
  )
  await em.flush()
  if (step.functionName !== cronJobFunctionName) {
    await enqueue(em, jobMessage(step.functionName, { ...job, seq: 1 }), { lane: start.lane })
    return { ...opened, spans: [root] }
  }
  const ending = produce(step, start.payload)
  const produced = { ...job, functionName: step.functionName, seq: 1, claim: null, attempt: 0, emitted: 0 }
  // Nobody processes it: what its children come from is its beginning.
  const ends = [{ job: produced, ending, elapsedMs: 0, place: root.spanContext() }]
  const { created } = await writeUnit(em, { ends }, start)
  return { ...opened, error: ending.kind === 'failed' ? ending.error : null, spans: [root, ...created] }
}

/**
 * The payload as the first job keeps it: as null where it is longer than one value may be, which only the list of a
 * producer is, and it is in the config of the step.
 *
 * @throws WorkflowError `payload_too_large`.
 */
const keptPayload = (step: StepOfRun, { payload, isOfStep, maxPayloadBytes }: RunStart): unknown => {
  const most = maxPayloadBytes ?? defaultMaxPayloadBytes
  if (step.functionName !== cronJobFunctionName) limitPayload('the first payload', payload, most)
  const fault = faultOfProduct(payload, step.outputType === 'multiple' && step.next !== null, most)
  if (fault !== null) throw new WorkflowError('payload_too_large', `the first payload ${fault}`)
  return isOfStep === true && isLarge(payload, most) ? null : payload
}

/** A producer's result is its payload. */
const produce = (step: StepOfRun, payload: unknown): Exclude<Ending, { kind: 'requeued' }> => {
  try {
    return { kind: 'succeeded', placed: placeResult(step, payload, 'payload') }
  } catch (error) {
    if (!(error instanceof WorkflowError)) throw error
    return { kind: 'failed', error: { code: error.code, message: error.message } }
  }
}

const insertRun = async (em: EntityManager, start: RunStart): Promise<{ id: string; created: boolean }> => {
  const id = uuidv7()
  const inserted = await queryable(em).query(
    `insert into workflow_run (id, workflow_id, version, trigger, idempotency_key, status)
     values ($1, $2, $3, $4, $5, 'running')
     on conflict (workflow_id, idempotency_key) do nothing
     returning id`,
    [id, start.workflow.id, start.workflow.version, start.trigger, start.idempotencyKey],
  )
  if (inserted.rows.length === 1) return { id, created: true }
  const seen = await findRun(em, { workflowId: start.workflow.id, idempotencyKey: start.idempotencyKey })
  if (seen === null) throw new Error(`the run of the key ${start.idempotencyKey} is gone while it is begun`)
  return { id: seen, created: false }
}

const insertCounters = async (
  tx: Queryable,
  runId: string,
  steps: readonly StepOfRun[],
  first: StepOfRun | null,
): Promise<void> => {
  await tx.query(
    `insert into workflow_run_step (run_id, step_id, belt)
     select $1, step_id, case when step_id = $3::uuid then 1 else 0 end from unnest($2::uuid[]) as step_id`,
    [runId, steps.map(({ id }) => id), first?.id ?? null],
  )
}
