import { exitCodes } from '@esteira/service'
import type { WorkflowError } from '@esteira/workflow/tick'

/** How a tick ends, beyond the codes that every process has. From 11 on, trying again cannot help. */
export const tickExitCodes = {
  step_unknown: 11,
  step_deleted: 12,
  workflow_disabled: 13,
  payloadDoesNotFit: 14,
  config_invalid: 15,
  payload_too_large: 16,
} as const

/** The code of a tick that is refused. */
export const refusalCode = ({ code }: WorkflowError): number => {
  switch (code) {
    case 'step_unknown':
    case 'step_deleted':
    case 'workflow_disabled':
    case 'config_invalid':
    case 'payload_too_large':
      return tickExitCodes[code]
    default:
      return exitCodes.failed
  }
}
