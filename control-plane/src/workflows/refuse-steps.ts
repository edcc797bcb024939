import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import type { ApiContext } from '../http/api-context.ts'
import { known } from '../http/describe.ts'
import { refuseInvalid } from '../http/refuse-invalid.ts'
import { maxSteps, type StepInput, stepInput } from './document.ts'
import { readWorkflow, stepOf } from './read-workflows.ts'
import { placeAndCheck } from './write-version.ts'

/** Refuses a workflow that does not fit its schema, with what a save would find in its steps besides. */
export const refuseWorkflow = ({ orm, ...limits }: Pick<ApiContext, 'orm' | 'maxPayloadBytes'>) =>
  refuseInvalid(async (body, c) => {
    const em = orm.em.fork()
    const id = c.req.param('id')
    const current =
      id === undefined ? { id: uuidv7(), steps: [] } : await readWorkflow(em, known(id, 'workflow_unknown'))
    const { faults } = await placeAndCheck(em, current, looseWorkflow.parse(body).steps, limits)
    return faults
  })

/** Refuses a step that does not fit its schema, with what a save would find in it besides. */
export const refuseStep = ({ orm, ...limits }: Pick<ApiContext, 'orm' | 'maxPayloadBytes'>) =>
  refuseInvalid(async (body, c) => {
    const em = orm.em.fork()
    const current = await readWorkflow(em, known(c.req.param('id') ?? '', 'workflow_unknown'))
    const stepId = c.req.param('stepId')
    const replaced = stepId === undefined ? undefined : stepOf(current, known(stepId, 'step_unknown'))
    const index = replaced === undefined ? current.steps.length : current.steps.indexOf(replaced)
    const step = looseStep.parse(body)
    const steps: StepInput[] = current.steps
    const inputs = steps.toSpliced(index, 1, { ...step, id: replaced?.id ?? step.id })
    const { faults } = await placeAndCheck(em, current, inputs, limits, index)
    return faults
  })

const { shape } = stepInput

const looseMembers = z.object({
  id: shape.id.catch(undefined),
  name: shape.name.catch(''),
  functionName: shape.functionName.catch(''),
  config: shape.config.catch({}),
  nextStep: shape.nextStep.catch(null),
  outputType: shape.outputType.catch(null),
  retry: shape.retry.catch({}),
  timeoutMs: shape.timeoutMs.catch(null),
})

/** A step of which nothing need fit: a member that does not is as one left out. */
const looseStep = looseMembers.catch(() => looseMembers.parse({}))

const looseWorkflow = z.object({ steps: z.array(looseStep).max(maxSteps) }).catch({ steps: [] })
