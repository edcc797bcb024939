import { cronJobFunctionName, type Fault } from '@esteira/workflow'
import type { StepDocument } from './document.ts'

type Node = Pick<StepDocument, 'id' | 'name' | 'functionName' | 'nextStep'>

/** What is wrong with the way from step to step: a circle would run for ever, and nothing leads into a CronJob. */
export const faultsOfGraph = (steps: readonly Node[]): Fault[] => {
  const byId = new Map(steps.map((step) => [step.id, step]))
  return steps.flatMap((step, index) => {
    const pointer = `/${index}/nextStep`
    const circle = circleThrough(step, byId)
    if (circle !== undefined) {
      return [{ pointer, message: `leads back to the step itself: ${circle.map(({ name }) => name).join(' → ')}` }]
    }
    const next = step.nextStep === null ? undefined : byId.get(step.nextStep)
    return next?.functionName === cronJobFunctionName
      ? [{ pointer, message: `step "${next.name}" is a ${cronJobFunctionName}: it begins runs and takes no jobs` }]
      : []
  })
}

/** The way from a step back to itself, both ends included. */
const circleThrough = (start: Node, byId: ReadonlyMap<string, Node>): Node[] | undefined => {
  const way = [start]
  // A way through all steps has been everywhere; one that is longer goes round in a circle further on.
  while (way.length <= byId.size) {
    const next = byId.get(way.at(-1)?.nextStep ?? '')
    if (next === undefined) return undefined
    way.push(next)
    if (next.id === start.id) return way
  }
  return undefined
}

/** The steps that no other points to: where runs begin. */
export const firstSteps = <Step extends Pick<StepDocument, 'id' | 'nextStep'>>(steps: readonly Step[]): Step[] => {
  const targets = new Set(steps.map(({ nextStep }) => nextStep))
  return steps.filter(({ id }) => !targets.has(id))
}
