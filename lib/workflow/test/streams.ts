import * as z from 'zod'
import {
  defineFunction,
  type FunctionContext,
  type Page,
  page,
  type ResumableContext,
  type StepFunction,
} from '../src/index.ts'
import { type Engine, functionOf, type StepDraft } from './engine.ts'

/** How many items a page has in the workers of these tests. */
export const pageItems = 10

/** What a function that gives items as they come is called with, and one that says where it can go on. */
export type Whole = FunctionContext<object, unknown>
export type Resumable = ResumableContext<object, unknown, unknown, number>

/** A function that gives pages with a cursor, which is the number of the next item. */
export const resumableOf = (name: string, run: (context: Resumable) => AsyncIterable<Page<unknown, number>>) =>
  defineFunction({ name, config: z.looseObject({}), cursor: z.int(), run })

export const numbers = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

export const pageOf = (first: number, count: number) => page(numbers(first, count), first + count)

/** Runs of functions that give their items page by page, and looks at what of them is there. */
export const openStreams = (engineOf: () => Engine) => {
  const jobsOfNext = async (run: string) => (await engineOf().jobs(run)).filter(({ step }) => step === 1)

  return {
    /** Starts a worker, and a run whose items nobody takes unless `taken`. */
    begin: async (fn: StepFunction, { taken = true, ...draft }: Partial<StepDraft> & { taken?: boolean } = {}) => {
      const engine = engineOf()
      const others = taken ? [functionOf(`${fn.name}.next`, () => undefined)] : []
      const worker = await engine.startWorker([fn, ...others], { pageItems, window: 15 })
      const workflow = await engine.saveWorkflow(
        { functionName: fn.name, outputType: 'multiple', ...draft },
        { functionName: `${fn.name}.next`, outputType: null },
      )
      return { worker, run: await engine.begin(workflow, null) }
    },

    /** The job whose items they are. */
    parentOf: async (run: string) => {
      const [parent] = parentRows.parse(await engineOf().query(parentSql, [run]))
      return parent
    },

    /** What the next step got, in the order of the items, without hidden ones. */
    itemsOf: async (run: string): Promise<unknown[]> =>
      (await jobsOfNext(run)).filter(({ status }) => status !== 'hidden').map(({ payload }) => payload),

    hiddenOf: async (run: string): Promise<number> =>
      (await jobsOfNext(run)).filter(({ status }) => status === 'hidden').length,
  }
}

const parentSql = `
  select id, status, seq, attempt, claim, emitted, cursor, error from workflow_job
  where run_id = $1 and parent_id is null`

const parentRows = z.tuple([
  z.object({
    id: z.string(),
    status: z.string(),
    seq: z.int(),
    attempt: z.int(),
    claim: z.string().nullable(),
    emitted: z.int(),
    cursor: z.unknown(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  }),
])
