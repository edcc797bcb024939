import { WorkflowError } from '../errors.ts'
import { describeKind } from '../faults/wording.ts'

/** Where the jobs of a step lead. */
export type NextStep = { id: string; functionName: string }

/** What of a step decides where a result goes. */
type Outlet = { name: string; outputType: 'single' | 'multiple' | null; next: NextStep | null }

/**
 * Where a result goes: to the next step, as one job an item or one with the whole; nowhere, so that the next step gets
 * the input; or onto the job itself.
 */
export type Placed =
  | { kind: 'items'; items: unknown[]; next: NextStep }
  | { kind: 'whole'; result: unknown; next: NextStep }
  | { kind: 'input'; next: NextStep }
  | { kind: 'output'; output: unknown }

/**
 * Places a function's result by the step's `outputType`: `multiple` gives one job an item, `single` one job with the
 * whole, null nothing, so the next step gets the input. Without a next step the output stays on the job. `what` names
 * the result in the error.
 *
 * @throws WorkflowError `output_invalid` when the result of a `multiple` step is not an array.
 */
export const placeResult = ({ name, outputType, next }: Outlet, result: unknown, what = 'result'): Placed => {
  if (outputType === 'multiple' && !Array.isArray(result)) {
    throw new WorkflowError(
      'output_invalid',
      `step "${name}" has outputType "multiple": its ${what} must be an array, but ${describeKind(result)} came`,
    )
  }
  if (next === null) return { kind: 'output', output: outputType ? (result ?? null) : null }
  if (outputType === 'multiple') return { kind: 'items', items: Array.isArray(result) ? result : [], next }
  if (outputType === 'single') return { kind: 'whole', result: result ?? null, next }
  return { kind: 'input', next }
}

/** How many jobs of the next step a placed result becomes. */
export const childrenIn = (placed: Placed): number => {
  switch (placed.kind) {
    case 'items':
      return placed.items.length
    case 'whole':
    case 'input':
      return 1
    case 'output':
      return 0
  }
}
