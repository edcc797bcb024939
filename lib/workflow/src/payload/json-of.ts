import { reasonOf } from '@esteira/service'
import { WorkflowError } from '../errors.ts'

/**
 * What functions gave, as JSON for a statement.
 *
 * @throws WorkflowError `output_rejected` for what is no JSON: a cycle, a bigint, a `toJSON` that throws, or too much
 * text for one string.
 */
export const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new WorkflowError('output_rejected', `the result cannot be stored: ${reasonOf(cause)}`, { cause })
  }
}
