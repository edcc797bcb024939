import { didYouMean } from '@esteira/service'
import type { Fault } from '@esteira/workflow'
import { inside, within } from '../faults/parts.ts'
import type { StepCheck } from './check-step.ts'
import { faultsOfGraph } from './check-graph.ts'
import type { StepDocument } from './document.ts'

/** The functions that are known, by name. */
export type KnownFunctions = ReadonlyMap<string, StepCheck>

/** All that is wrong with the steps of a workflow, with pointers into the steps: `/0/config/schedule`. */
export const faultsOfSteps = (steps: readonly StepDocument[], functions: KnownFunctions): Fault[] => [
  ...faultsOfGraph(steps),
  ...steps.flatMap((step, index) => within(`/${index}`, faultsOfStep(step, functions))),
]

/**
 * What is wrong with one step of a workflow, with pointers into the step. The others were right when they were saved, so
 * only the way between them is looked at again.
 */
export const faultsOfOneStep = (steps: readonly StepDocument[], index: number, functions: KnownFunctions): Fault[] => {
  const step = steps[index]
  if (step === undefined) return []
  const graph = faultsOfGraph(steps)
  const ofThisStep = inside(`/${index}`, graph)
  // A step that becomes a CronJob makes the steps wrong that point to it.
  const ofOthers =
    ofThisStep.length > 0 ? [] : graph.slice(0, 1).map(({ message }) => ({ pointer: '/functionName', message }))
  return [...ofThisStep, ...ofOthers, ...faultsOfStep(step, functions)]
}

const faultsOfStep = (step: StepDocument, functions: KnownFunctions): Fault[] => {
  const check = functions.get(step.functionName)
  if (check !== undefined) return check(step)
  const hint = didYouMean(step.functionName, [...functions.keys()])
  return [{ pointer: '/functionName', message: `no worker has offered a function "${step.functionName}"${hint}` }]
}
