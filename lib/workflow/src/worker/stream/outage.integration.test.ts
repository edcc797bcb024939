import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { numbers, pageItems, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { useLink } from '../../../test/use-link.ts'
import type { StepFunction } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const link = useLink(() => engine.databaseUrl)

/** Functions that give 60 items each, and ask whether they may go on behind the first 20. */
const functionsThat = (ask: () => Promise<void>): StepFunction[] => [
  resumableOf('with a cursor', async function* ({ cursor }) {
    for (let first = cursor ?? 0; first < 60; first += 10) {
      if (first === 20) await ask()
      yield pageOf(first, 10)
    }
  }),
  functionOf('without one', async function* () {
    yield* numbers(0, 20)
    await ask()
    yield* numbers(20, 40)
  }),
  functionOf('by emit', async ({ emit }) => {
    for (let first = 0; first < 60; first += 10) {
      if (first === 20) await ask()
      await emit(numbers(first, 10))
    }
  }),
]

const timeoutMs = 2_000

test.each(['is away', 'says nothing'])(
  'while Postgres %s the time of functions that give items stands, however little they have',
  async (outage) => {
    const gate = Promise.withResolvers<void>()
    let asked = 0
    const functions = functionsThat(() => {
      asked += 1
      return gate.promise
    })
    const next = functionOf('next', () => undefined)
    await engine.startWorker([...functions, next], { pageItems, databaseUrl: link().url })
    const begin = async (functionName: string): Promise<string> => {
      const workflow = await engine.saveWorkflow(
        { functionName, outputType: 'multiple', timeoutMs, retry: { maxAttempts: 1 } },
        { functionName: next.name, outputType: null },
      )
      return engine.begin(workflow, null)
    }
    const runs = await Promise.all(functions.map(({ name }) => begin(name)))
    await waitFor(() => asked === functions.length)
    if (outage === 'is away') link().cut()
    else link().pause()
    const sinceMs = performance.now()
    gate.resolve()
    await waitFor(() => performance.now() - sinceMs > 1.5 * timeoutMs)
    link().resume()
    for (const run of runs) {
      expect(await engine.over(run)).toBe('succeeded')
      const [parent, ...children] = await engine.jobs(run)
      expect(children.map(({ payload }) => payload)).toEqual(numbers(0, 60))
      expect(await engine.attempts(parent?.id ?? '')).toEqual([])
    }
  },
)
