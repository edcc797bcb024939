import { WorkflowError } from '@esteira/workflow'
import { ControlPlaneError } from '../errors.ts'

/**
 * For `catch`: a payload over the limit is the client's fault, and `outcome` says what was not done for it.
 *
 * @throws ControlPlaneError `payload_too_large`; whatever else it was stays as it is.
 */
export const refusePayload =
  (outcome: string) =>
  (error: unknown): never => {
    if (!(error instanceof WorkflowError) || error.code !== 'payload_too_large') throw error
    throw new ControlPlaneError('payload_too_large', `${outcome}: ${error.message}.`, { cause: error })
  }
