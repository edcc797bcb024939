import { OutboxError } from '@esteira/outbox'
import { databaseErrorOf, isCutShort, isLockedOut, isTransientHere } from '../../database/is-transient.ts'
import { WorkflowError } from '../../errors.ts'

/**
 * Whose fault it is that a unit of work was refused: of a link or a moment, of a job in it, or of the house. One that
 * the server cut short, for its time or its memory, is the moment's or a job's: that only shows with the job alone. One
 * that was held up by somebody else's lock is the moment's, but only of the jobs or the runs that are locked.
 */
export type Blame = 'moment' | 'held up' | 'cut short' | 'job' | 'house'

/** SQLSTATE classes that speak of the values in a statement. */
const classesOfValues = new Set([
  '22', // data: text that jsonb cannot hold, a number out of range
  '23', // a constraint, such as a unique key that a function's own row meets
  '54', // a limit of the server, such as the size of one jsonb
])

/** A constraint here is broken by a fault of the engine, never by what a function gives. */
const ownTables = new Set([
  'workflow_job',
  'workflow_attempt',
  'workflow_run',
  'workflow_run_step',
  'workflow_waiting',
  'workflow_hidden_page',
  'workflow_item_key',
  'workflow_probe',
  'workflow_probed_job',
  'outbox_message',
  'outbox_scheduled',
  'outbox_parked',
])

/**
 * Who is to blame for an error of a unit of work. The moment passes; the job fails, since with its result no unit of
 * work will ever commit. Everything else (a missing grant or table, a bug) is the house's: no job may fail for it.
 */
export const blameFor = (error: unknown): Blame => {
  if (isHeldUp(error)) return 'held up'
  if (isCutShort(error)) return 'cut short'
  if (isTransientHere(error)) return 'moment'
  return isOfJob(error) ? 'job' : 'house'
}

const isHeldUp = (error: unknown): boolean =>
  (error instanceof WorkflowError && error.code === 'held_up') || isLockedOut(error)

/** Whether there is nothing better to do than to try the same again. */
export const isOfMoment = (error: unknown): boolean => blameFor(error) === 'moment'

const isOfJob = (error: unknown): boolean => {
  if (error instanceof WorkflowError) return error.code === 'output_rejected'
  if (error instanceof OutboxError) return error.code === 'message_invalid'
  const refusal = databaseErrorOf(error)
  if (refusal === null || !classesOfValues.has(refusal.code.slice(0, 2))) return false
  return refusal.table === null || !ownTables.has(refusal.table)
}
