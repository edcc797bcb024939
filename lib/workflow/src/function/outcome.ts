import { WorkflowError } from '../errors.ts'
import { describeKind } from '../faults/wording.ts'

/** What a function may return instead of a result. */
export type Outcome =
  | { [outcomeMark]: 'retry'; reason: string }
  | { [outcomeMark]: 'snooze'; delayMs: number; reason: string | null }
  | { [outcomeMark]: 'fail'; reason: string }

/** A symbol, so that no result of a function can be taken for an outcome. */
export const outcomeMark = Symbol('esteira.outcome')

/**
 * Try again later, by the step's retry policy; burns an attempt.
 *
 * @throws WorkflowError `outcome_invalid` without a text that says why.
 */
export const retry = (reason: string): Outcome => ({ [outcomeMark]: 'retry', reason: textOf('retry', reason) })

/**
 * Come back in `delayMs` milliseconds; burns no attempt. For a service that is away, or that said when it will answer
 * again; `reason` is shown on the job meanwhile.
 *
 * @throws WorkflowError `outcome_invalid` when `delayMs` is no time to wait, or `reason` no text; it burns an attempt,
 *   unlike the snooze.
 */
export const snooze = (delayMs: number, reason?: string): Outcome => {
  if (!(delayMs >= 0 && delayMs <= maxSnoozeMs)) {
    const message = `snooze takes milliseconds from 0 to ${maxSnoozeMs}, ${delayMs} came`
    throw new WorkflowError('outcome_invalid', message, { final: false })
  }
  return { [outcomeMark]: 'snooze', delayMs, reason: reason === undefined ? null : textOf('snooze', reason) }
}

/** A year; what would come back later is a mistake in a date or a unit. */
const maxSnoozeMs = 365 * 86_400_000

/**
 * The job has failed and trying again cannot help.
 *
 * @throws WorkflowError `outcome_invalid` without a text that says why; that burns an attempt, unlike the end.
 */
export const fail = (reason: string): Outcome => ({ [outcomeMark]: 'fail', reason: textOf('fail', reason) })

/** Functions in JavaScript may have none, and what they give is stored and shown. */
const textOf = (outcome: string, reason: unknown): string => {
  if (typeof reason === 'string') return reason
  throw new WorkflowError('outcome_invalid', `${outcome} takes a text as its reason, ${describeKind(reason)} came`, {
    final: false,
  })
}

export const isOutcome = (value: unknown): value is Outcome =>
  typeof value === 'object' && value !== null && outcomeMark in value
