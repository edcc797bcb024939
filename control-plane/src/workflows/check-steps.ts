import { didYouMean } from '@esteira/service'
import { cronJobFunctionName, type Fault, mustBe } from '@esteira/workflow'
import { inside, within } from '../faults/parts.ts'
import type { ConfigCheck } from './check-config.ts'
import { faultsOfGraph } from './check-graph.ts'
import type { StepDocument } from './document.ts'

/** The functions that are known, by name. */
export type KnownFunctions = ReadonlyMap<string, ConfigCheck>

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
  if (check !== undefined) return within('/config', [...check(step.config), ...faultsOfProduce(step)])
  const hint = didYouMean(step.functionName, [...functions.keys()])
  return [{ pointer: '/functionName', message: `no worker has offered a function "${step.functionName}"${hint}` }]
}

/** The payload of a CronJob is its result, which `multiple` gives out item by item; nothing in it is evaluated. */
const faultsOfProduce = ({ functionName, outputType, config: { payload } }: StepDocument): Fault[] => {
  if (functionName !== cronJobFunctionName || outputType !== 'multiple' || Array.isArray(payload)) return []
  const fault = payload === undefined ? 'is missing, must be an array' : mustBe('array', payload)
  return [{ pointer: '/payload', message: `${fault}: outputType is "multiple"` }]
}
