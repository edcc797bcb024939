import { type Engine, functionOf, type SavedWorkflow } from './engine.ts'

/** A step for each item, and one behind it, so that a commit writes jobs as well. */
export const fanOut = (engine: Engine, functionName: string): Promise<SavedWorkflow> =>
  engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: 'single' },
    { functionName: `${functionName}.next`, outputType: null },
  )

/** A function whose jobs wait until those with their payload may end, and what it was called with. */
export const gated = (name: string) => {
  const gates = new Map(['first', 'second'].map((payload) => [payload, Promise.withResolvers<void>()]))
  const calls: string[] = []
  const fn = functionOf(name, async ({ payload }) => {
    calls.push(String(payload))
    await gates.get(String(payload))?.promise
    return payload
  })
  const functions = [fn, functionOf(`${name}.next`, () => undefined)]
  return { functions, calls, go: (payload: 'first' | 'second') => gates.get(payload)?.resolve() }
}
