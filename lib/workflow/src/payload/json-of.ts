import { reasonOf } from '@esteira/service'
import { WorkflowError } from '../errors.ts'
import { isTooDeep, tooDeepText } from '../faults/too-deep.ts'

/**
 * What functions gave, as JSON for a statement.
 *
 * @throws WorkflowError `output_rejected` for what is no JSON: a cycle, a bigint, a `toJSON` that throws, too many
 * levels, or too much text for one string.
 */
export const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    const why = isTooDeep(cause) ? `it ${tooDeepText(value)}` : reasonOf(cause)
    throw new WorkflowError('output_rejected', `the result cannot be stored: ${why}`, { cause })
  }
}
