import { WorkflowError } from '../errors.ts'
import { describeKind } from '../faults/wording.ts'

/** What of a step decides where a result goes. */
type Outlet = { name: string; outputType: 'single' | 'multiple' | null; next: object | null }

/** Where a result goes: to the next step, one job an item, or onto the job itself. */
export type Placed = { items: unknown[] } | { output: unknown }

/**
 * Places a function's result by the step's `outputType`: `multiple` gives one job an item, `single` one job with the
 * whole, null nothing, so the next step gets the input. Without a next step the output stays on the job. `what` names
 * the result in the error.
 *
 * @throws WorkflowError `output_invalid` when the result of a `multiple` step is not an array.
 */
export const placeResult = (step: Outlet, result: unknown, input: unknown, what = 'result'): Placed => {
  if (step.outputType === 'multiple' && !Array.isArray(result)) {
    throw new WorkflowError(
      'output_invalid',
      `step "${step.name}" has outputType "multiple": its ${what} must be an array, but ${describeKind(result)} came`,
    )
  }
  if (step.next === null) return { output: step.outputType ? (result ?? null) : null }
  if (step.outputType === 'multiple') return { items: Array.isArray(result) ? result : [] }
  return { items: [step.outputType === 'single' ? (result ?? null) : input] }
}
