import { queryable } from '@esteira/outbox'
import { loadSql } from '@esteira/sql'
import { type Fault, Workflow, WorkflowFunction, WorkflowStep } from '@esteira/workflow'
import { type EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import { noteSchedules } from '../cron/note-schedules.ts'
import { inside, within } from '../faults/parts.ts'
import { ControlPlaneError } from '../errors.ts'
import { stepCheckOf, type StepLimits } from './check-step.ts'
import { faultsOfOneStep, faultsOfSteps } from './check-steps.ts'
import type { StepDocument, StepInput, WorkflowDocument, WorkflowInput } from './document.ts'
import { placeSteps } from './place-steps.ts'
import { documentOf, workflowUnknown } from './read-workflows.ts'

/** The version that a change is meant for; null is whichever is there. */
export type ExpectedVersion = number | null

/** A workflow under its lock. `now` is the database's clock. */
export type HeldWorkflow = { workflow: Workflow; document: WorkflowDocument; now: Date }

/**
 * Takes a workflow for a change: from here to the commit nobody else writes a version of it.
 *
 * Locks: the workflow's row alone, so two saves wait for each other and cannot deadlock. Runs that begin meanwhile refer
 * to the row by its key, which `no key update` lets pass.
 *
 * @throws ControlPlaneError `workflow_unknown`, or `version_stale` when another version than the expected is there.
 */
export const holdWorkflow = async (em: EntityManager, id: string, expected: ExpectedVersion): Promise<HeldWorkflow> => {
  const { rows } = await queryable(em).query(
    `select now() as now from workflow where id = $1 and deleted_at is null for no key update`,
    [id],
  )
  const held = heldRows.parse(rows)[0]
  if (held === undefined) throw workflowUnknown(id)
  const workflow = await em.findOneOrFail(Workflow, { id })
  if (expected !== null && expected !== workflow.version) {
    throw new ControlPlaneError('version_stale', `Version ${expected} was meant, version ${workflow.version} is there.`)
  }
  const steps = await em.find(WorkflowStep, { workflowId: id, version: workflow.version })
  return { workflow, document: documentOf(workflow, steps), now: held.now }
}

const heldRows = z.array(z.object({ now: z.coerce.date() }))

/**
 * The steps of a workflow that is about to be saved, placed and checked.
 *
 * @throws ControlPlaneError `body_invalid` with every fault.
 */
export const checkedSteps = async (...args: Parameters<typeof placeAndCheck>): Promise<StepDocument[]> => {
  const { steps, faults } = await placeAndCheck(...args)
  refuse(faults)
  return steps
}

/**
 * Places the steps of a workflow and finds what is wrong with them: with all of them, or with the one at `only`, to which
 * the pointers then are relative.
 */
export const placeAndCheck = async (
  em: EntityManager,
  current: Pick<WorkflowDocument, 'id' | 'steps'>,
  inputs: readonly StepInput[],
  limits: StepLimits,
  only?: number,
): Promise<{ steps: StepDocument[]; faults: Fault[] }> => {
  const known = { current: current.steps, everUsed: await everUsedIds(em, current.id, inputs) }
  const { steps, faults } = placeSteps(inputs, known, uuidv7)
  const functions = await em.find(WorkflowFunction, {})
  // At the first save, and again behind a statement that the grammar ran out of stack with.
  await loadSql()
  const checks = new Map(functions.map((fn) => [fn.name, stepCheckOf(fn, limits)]))
  return {
    steps,
    faults:
      only === undefined
        ? within('/steps', [...faults, ...faultsOfSteps(steps, checks)])
        : [...inside(`/${only}`, faults), ...faultsOfOneStep(steps, only, checks)],
  }
}

/** @throws ControlPlaneError `body_invalid` unless there are no faults. */
export const refuse = (faults: readonly Fault[]): void => {
  if (faults.length === 0) return
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`
  throw new ControlPlaneError('body_invalid', `Nothing was saved: the body has ${count}.`, { faults })
}

const everUsedIds = async (
  em: EntityManager,
  workflowId: string,
  inputs: readonly StepInput[],
): Promise<Set<string>> => {
  const brought = inputs.flatMap(({ id }) => id ?? [])
  if (brought.length === 0) return new Set()
  const { rows } = await queryable(em).query(
    `select distinct id from workflow_step where workflow_id = $1 and id = any ($2::uuid[])`,
    [workflowId, brought],
  )
  return new Set(idRows.parse(rows).map(({ id }) => id))
}

const idRows = z.array(z.object({ id: z.string() }))

/** Writes the next version of a held workflow: its row, and every step anew. */
export const writeVersion = async (
  em: EntityManager,
  { workflow, now }: HeldWorkflow,
  head: Omit<WorkflowInput, 'steps'>,
  steps: readonly StepDocument[],
): Promise<WorkflowDocument> => {
  const { name, client, automationType, enabled } = head
  em.assign(workflow, { name, client, automationType, enabled, version: workflow.version + 1, updatedAt: now })
  await flushName(em, workflow)
  return writeSteps(em, workflow, steps)
}

/** Writes the steps of the version that a workflow has now. */
export const writeSteps = async (
  em: EntityManager,
  workflow: Workflow,
  steps: readonly StepDocument[],
): Promise<WorkflowDocument> => {
  const rows = steps.map(({ nextStep, ...step }, position) =>
    em.create(
      WorkflowStep,
      { ...step, position, nextStepId: nextStep, workflowId: workflow.id, version: workflow.version },
      { persist: true },
    ),
  )
  await em.flush()
  await noteSchedules(em, workflow.enabled, rows)
  return documentOf(workflow, rows)
}

/**
 * Writes a workflow's row, before its steps refer to it.
 *
 * @throws ControlPlaneError `workflow_name_taken`. The index decides, since two can be saved under one name at once.
 */
export const flushName = async (em: EntityManager, { name }: Workflow): Promise<void> => {
  try {
    await em.flush()
  } catch (cause) {
    if (!isNameTaken(cause)) throw cause
    const faults = [{ pointer: '/name', message: `another workflow is named "${name}"` }]
    throw new ControlPlaneError('workflow_name_taken', 'Choose another name.', { cause, faults })
  }
}

const isNameTaken = (error: unknown): boolean =>
  error instanceof UniqueConstraintViolationException && 'constraint' in error && error.constraint === 'workflow_name'
