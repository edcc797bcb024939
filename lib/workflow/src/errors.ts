/** What can be wrong, for programs to tell apart. Codes are never reused. */
export type WorkflowErrorCode =
  | 'step_unknown'
  | 'step_deleted'
  | 'workflow_disabled'
  | 'function_invalid'
  | 'expression_invalid'
  | 'expression_failed'
  | 'config_invalid'
  | 'secret_missing'
  | 'payload_invalid'
  | 'output_invalid'
  | 'outcome_invalid'
  | 'output_rejected'
  | 'cursor_invalid'
  | 'write_refused'
  | 'write_cut_short'
  | 'held_up'
  | 'unit_left'
  | 'payload_too_large'
  | 'timed_out'
  | 'attempt_failed'
  | 'attempt_lost'
  | 'process_died'
  | 'cancelled'
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
