import type { Fault } from '@esteira/workflow'
/** What can be wrong, for programs to tell apart; `http/problems.ts` has the answer to each. Codes are never reused. */
export type ControlPlaneErrorCode =
  | 'unauthorized'
  | 'route_unknown'
  | 'method_not_allowed'
  | 'json_invalid'
  | 'content_type_unsupported'
  | 'body_too_large'
  | 'body_invalid'
  | 'query_invalid'
  | 'cursor_invalid'
  | 'workflow_unknown'
  | 'workflow_name_taken'
  | 'workflow_disabled'
  | 'workflow_busy'
  | 'version_required'
  | 'version_invalid'
  | 'version_stale'
  | 'step_unknown'
  | 'step_in_use'
  | 'first_step_missing'
  | 'first_step_ambiguous'
  | 'run_unknown'
  | 'run_over'
  | 'run_cancelled'
  | 'run_busy'
  | 'job_has_items'
  | 'payload_too_large'
  | 'idempotency_key_reused'
  | 'job_unknown'
  | 'job_not_failed'
  | 'job_of_tick'
  | 'job_over'
  | 'job_busy'
  | 'database_unavailable'
  | 'internal'
  | 'address_in_use'
  | 'cron_program_missing'
  | 'pod_template_invalid'
  | 'cluster_config_invalid'

/** The one error of this package. `faults` says where in what was sent the trouble is. */
export class ControlPlaneError extends Error {
  override readonly name = 'ControlPlaneError'
  readonly code: ControlPlaneErrorCode
  readonly faults: readonly Fault[]

  constructor(
    code: ControlPlaneErrorCode,
    message: string,
    options: { cause?: unknown; faults?: readonly Fault[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.faults = options.faults ?? []
  }
}
