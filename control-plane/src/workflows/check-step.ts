import {
  cronJobFunctionName,
  type Fault,
  faultOfOutputType,
  mustBe,
  type PublishedFunction,
  withoutResultMark,
} from '@esteira/workflow'
import { within } from '../faults/parts.ts'
import { configCheckOf } from './check-config.ts'
import type { StepDocument } from './document.ts'

/** Finds where a step does not fit its function, with pointers into the step. */
export type StepCheck = (step: Pick<StepDocument, 'config' | 'outputType'>) => Fault[]

/** The check of a function's steps. */
export const stepCheckOf = (fn: Pick<PublishedFunction, 'name' | 'configSchema'>): StepCheck => {
  const faultsOfConfig = configCheckOf(fn)
  const faultsOfOutput = fn.name === cronJobFunctionName ? faultsOfProduce : outputCheckOf(fn.configSchema)
  return (step) => [...within('/config', faultsOfConfig(step.config)), ...faultsOfOutput(step)]
}

/** The payload of a CronJob is its result, which `multiple` gives out item by item; nothing in it is evaluated. */
const faultsOfProduce: StepCheck = ({ outputType, config: { payload } }) => {
  if (outputType !== 'multiple' || Array.isArray(payload)) return []
  const fault = payload === undefined ? 'is missing, must be an array' : mustBe('array', payload)
  return [{ pointer: '/config/payload', message: `${fault}: outputType is "multiple"` }]
}

const outputCheckOf = ({ [withoutResultMark]: mark }: PublishedFunction['configSchema']): StepCheck => {
  const withoutResult = typeof mark === 'object' && mark !== null ? { ...mark } : {}
  return ({ outputType, config }) => {
    const message = faultOfOutputType(outputType, config, withoutResult)
    return message === null ? [] : [{ pointer: '/outputType', message }]
  }
}
