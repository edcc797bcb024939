import { didYouMean } from '@esteira/service'
import type { Fault } from '@esteira/workflow'
import type { StepDocument, StepInput } from './document.ts'

/** What is known of a workflow's steps before it is saved. */
export type KnownSteps = {
  /** The steps of the version that is current now. */
  current: readonly { id: string; name: string }[]
  /** Ids of all versions; a step that was deleted can come back under its own. */
  everUsed: ReadonlySet<string>
}

/**
 * Gives each step its id and finds out what `nextStep` means. A step keeps its id through the versions of its workflow:
 * by the id it brings, else by its name. Steps come back with all that could be found; faults point into the steps.
 */
export const placeSteps = (
  inputs: readonly StepInput[],
  known: KnownSteps,
  newId: () => string,
): { steps: StepDocument[]; faults: Fault[] } => {
  const ids = idsOf(inputs, known, newId)
  const faults = [...faultsOfIds(inputs, known), ...faultsOfNames(inputs)]
  const byReference = new Map([
    ...inputs.map((input, index) => [input.name, ids[index]] as const),
    // After the names, so that an id wins over a step that is named like one.
    ...ids.map((id) => [id, id] as const),
  ])
  const steps = inputs.flatMap(({ nextStep, ...input }, index) => {
    const next = nextStep === null ? null : byReference.get(nextStep)
    if (next === undefined && nextStep !== null) {
      const names = inputs.map(({ name }) => name)
      const message = `there is no step "${nextStep}" in this workflow${didYouMean(nextStep, names)}`
      faults.push({ pointer: `/${index}/nextStep`, message })
    }
    const id = ids[index]
    return id === undefined ? [] : [{ ...input, id, nextStep: next ?? null }]
  })
  return { steps, faults }
}

const idsOf = (inputs: readonly StepInput[], known: KnownSteps, newId: () => string): string[] => {
  const brought = new Set(inputs.flatMap(({ id }) => id ?? []))
  const kept = new Map(known.current.filter(({ id }) => !brought.has(id)).map(({ id, name }) => [name, id]))
  return inputs.map(({ id, name }) => {
    if (id !== undefined) return id
    const own = kept.get(name)
    // Only the first of two steps of one name gets it; the second is a fault anyway.
    kept.delete(name)
    return own ?? newId()
  })
}

const faultsOfIds = (inputs: readonly StepInput[], known: KnownSteps): Fault[] =>
  inputs.flatMap(({ id }, index) => {
    if (id === undefined) return []
    const pointer = `/${index}/id`
    if (!known.everUsed.has(id)) {
      return [{ pointer, message: 'no step of this workflow ever had this id; leave it out for a new step' }]
    }
    const twin = inputs.findIndex((other) => other.id === id)
    return twin === index ? [] : [{ pointer, message: `the step at ${twin} has the same id` }]
  })

const faultsOfNames = (inputs: readonly StepInput[]): Fault[] =>
  inputs.flatMap(({ name }, index) =>
    inputs.some((other, at) => at !== index && other.name === name)
      ? [{ pointer: `/${index}/name`, message: `another step of this workflow is named "${name}" too` }]
      : [],
  )
