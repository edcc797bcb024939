/**
 * What the house writes as the `code` of a job's error or of an attempt's; a function may have codes of its own beside
 * them. The README tells what each means. Codes are never reused.
 */
export const jobErrorCodes = [
  'attempt_failed',
  'attempt_lost',
  'config_invalid',
  'cursor_invalid',
  'expression_failed',
  'expression_invalid',
  'message_lost',
  'outcome_invalid',
  'output_invalid',
  'output_rejected',
  'payload_invalid',
  'payload_too_large',
  'process_died',
  'secret_missing',
  'snoozed',
  'step_unknown',
  'timed_out',
  'unit_left',
  'write_cut_short',
  'write_refused',
] as const

export type JobErrorCode = (typeof jobErrorCodes)[number]

/** What can be wrong, for programs to tell apart. Codes are never reused. */
export type WorkflowErrorCode =
  | JobErrorCode
  | 'step_deleted'
  | 'workflow_disabled'
  | 'workflow_busy'
  | 'function_invalid'
  | 'held_up'
  | 'cancelled'
  | 'worker_stopped'
  | 'continued'
  | 'broker_unavailable'
  | 'database_behind'
  | 'database_settings'

/** The one error of this package. `final` says that trying again cannot help. */
export class WorkflowError extends Error {
  override readonly name = 'WorkflowError'
  readonly code: WorkflowErrorCode
  readonly final: boolean

  constructor(code: WorkflowErrorCode, message: string, options: { cause?: unknown; final?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.final = options.final ?? true
  }
}
