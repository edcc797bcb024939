import {
  atMost,
  cronJobFunctionName,
  type Fault,
  faultOfOutputType,
  faultOfProduct,
  maxTimeoutMark,
  mustBe,
  type PublishedFunction,
  withoutResultMark,
} from '@esteira/workflow'
import { within } from '../faults/parts.ts'
import { configCheckOf } from './check-config.ts'
import type { StepDocument } from './document.ts'

/** Finds where a step does not fit its function, with pointers into the step. */
export type StepCheck = (step: Pick<StepDocument, 'config' | 'nextStep' | 'outputType' | 'timeoutMs'>) => Fault[]

/** What steps must not exceed. */
export type StepLimits = { maxPayloadBytes: number }

/** The check of a function's steps. */
export const stepCheckOf = (fn: Pick<PublishedFunction, 'name' | 'configSchema'>, limits: StepLimits): StepCheck => {
  const faultsOfConfig = configCheckOf(fn)
  const others =
    fn.name === cronJobFunctionName
      ? [faultsOfProduce, payloadCheckOf(limits)]
      : [outputCheckOf(fn.configSchema), timeoutCheckOf(fn)]
  return (step) => [...within('/config', faultsOfConfig(step.config)), ...others.flatMap((faultsOf) => faultsOf(step))]
}

/** Each of its ticks would be refused. */
const payloadCheckOf =
  ({ maxPayloadBytes }: StepLimits): StepCheck =>
  ({ config: { payload }, nextStep, outputType }) => {
    const message = faultOfProduct(payload, outputType === 'multiple' && nextStep !== null, maxPayloadBytes)
    return message === null ? [] : [{ pointer: '/config/payload', message }]
  }

/** What the worker would cut short without a word. */
const timeoutCheckOf = ({ name, configSchema }: Pick<PublishedFunction, 'name' | 'configSchema'>): StepCheck => {
  const most = configSchema[maxTimeoutMark]
  return ({ timeoutMs }) =>
    typeof most !== 'number' || timeoutMs === null || timeoutMs <= most
      ? []
      : [{ pointer: '/timeoutMs', message: `${atMost(most)}: ${name} writes in a transaction that others wait for` }]
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
