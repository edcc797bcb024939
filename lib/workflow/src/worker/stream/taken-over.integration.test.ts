import { fileURLToPath } from 'node:url'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, laneName } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { startProcess } from '../../../test/start-process.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { useLink } from '../../../test/use-link.ts'
import { defineFunction, dropHiddenPages, page, type StepFunction } from '../../index.ts'

const program = fileURLToPath(new URL('../../../test/stream-worker.ts', import.meta.url))

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const broker = useLink(() => engine.rabbitmqUrl)

type Kind = 'resumable' | 'whole'

/** Items that all pages have, and those of one page. */
const allItems = 45
const pageItems = 10

/** A function that gives items with its name on them, and calls `before` each. */
const streamOf = (name: string, kind: Kind, who: string, before: (item: number) => Promise<void> = async () => {}) =>
  kind === 'whole'
    ? functionOf(name, async function* () {
        for (let item = 0; item < allItems; item += 1) {
          await before(item)
          yield `${who} ${item}`
        }
      })
    : defineFunction({
        name,
        config: z.looseObject({}),
        cursor: z.int(),
        run: async function* ({ cursor }) {
          for (let item = cursor ?? 0; item < allItems; item += 1) {
            await before(item)
            yield page([`${who} ${item}`], item + 1)
          }
        },
      })

const begin = async (name: string): Promise<string> => {
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )
  return engine.begin(workflow, null)
}

const startWorker = (
  name: string,
  fn: StepFunction,
  options: { worker: string; rabbitmqUrl?: string; pageItems?: number },
) => engine.startWorker([fn, functionOf(`${name}.next`, () => undefined)], { pageItems, ...options })

/** How many items of a run are written, hidden ones too. */
const writtenOf = async (run: string): Promise<number> =>
  (await engine.jobs(run)).filter(({ parentId }) => parentId !== null).length

const itemsOf = async (run: string): Promise<unknown[]> =>
  (await engine.jobs(run)).filter(({ step, status }) => step === 1 && status !== 'hidden').map(({ payload }) => payload)

const named = (who: string, first: number, end: number): string[] =>
  Array.from({ length: end - first }, (_, index) => `${who} ${first + index}`)

/** A worker process that gives so many items of a function and then hangs. */
const startStream = async (name: string, kind: Kind, items: number) => {
  const { databaseUrl, rabbitmqUrl } = engine
  const { kill } = await startProcess(program, [databaseUrl, rabbitmqUrl, laneName, name, kind, String(items)])
  return kill
}

test.each([10, 20, 40])(
  'a stream that is killed behind item %i goes on there, with what the source has then',
  async (items) => {
    const name = `resumable.${items}`
    const kill = await startStream(name, 'resumable', items)
    const run = await begin(name)
    await waitFor(async () => (await writtenOf(run)) === items)
    await kill()
    await startWorker(name, streamOf(name, 'resumable', 'heir'), { worker: 'heir' })
    expect(await engine.over(run)).toBe('succeeded')
    expect(await itemsOf(run)).toEqual([...named('killed', 0, items), ...named('heir', items, allItems)])
  },
)

test.each([10, 20, 40])(
  'one without a cursor that is killed behind item %i begins anew, and none is doubled',
  async (items) => {
    const name = `whole.${items}`
    const kill = await startStream(name, 'whole', items)
    const run = await begin(name)
    await waitFor(async () => (await writtenOf(run)) === items)
    await kill()
    expect(await itemsOf(run)).toEqual([])
    await startWorker(name, streamOf(name, 'whole', 'heir'), { worker: 'heir' })
    expect(await engine.over(run)).toBe('succeeded')
    expect(await itemsOf(run)).toEqual(named('heir', 0, allItems))
    expect(await writtenOf(run)).toBe(allItems + items)
    expect(await dropHiddenPages(engine.em())).toBe(items / pageItems)
    expect(await writtenOf(run)).toBe(allItems)
  },
)

test.each<Kind>(['resumable', 'whole'])(
  'a worker that lost only its broker cannot write one more page of a %s stream that another has',
  async (kind) => {
    const name = `lost.${kind}`
    const gates = { loser: Promise.withResolvers<void>(), heir: Promise.withResolvers<void>() }
    const loserFn = streamOf(name, kind, 'loser', async (item) => {
      if (item === 20) await gates.loser.promise
    })
    const loser = await engine.startWorker([loserFn], { pageItems, worker: 'loser', rabbitmqUrl: broker().url })
    const run = await begin(name)
    await waitFor(async () => (await writtenOf(run)) === 20)
    let begun = false
    const heirFn = streamOf(name, kind, 'heir', async () => {
      begun = true
      await gates.heir.promise
    })
    await startWorker(name, heirFn, { worker: 'heir' })
    broker().cut()
    await waitFor(() => begun)
    gates.loser.resolve()
    await waitFor(() => loser.saw('delivery.dropped').length === 1)
    expect(loser.saw('delivery.dropped')).toMatchObject([{ reason: 'held by another' }])
    expect(await writtenOf(run)).toBe(20)
    gates.heir.resolve()
    expect(await engine.over(run)).toBe('succeeded')
    const kept = kind === 'resumable' ? named('loser', 0, 20) : []
    expect(await itemsOf(run)).toEqual([...kept, ...named('heir', kept.length, allItems)])
  },
)

/** Of larger pages the first of the heir has all of that one and more; of the largest it is left for the end of the job. */
test.each([30, 100])(
  'a page that is being committed while another takes its job is there once, also when the pages of that have %i items',
  async (heirItems) => {
    const name = `committing.${heirItems}`
    const gate = Promise.withResolvers<void>()
    const loserFn = streamOf(name, 'resumable', 'loser', async (item) => {
      if (item === 20) await gate.promise
    })
    const held = await holdCommits(engine.em(), `new.emitted = 20 and new.finished_at is null`)
    const loser = await engine.startWorker([loserFn], { pageItems, worker: 'loser', rabbitmqUrl: broker().url })
    const run = await begin(name)
    await waitFor(held.isHolding)
    await startWorker(name, streamOf(name, 'resumable', 'heir'), { worker: 'heir', pageItems: heirItems })
    broker().cut()
    await waitFor(async () => (await engine.query(waitingHeirSql)).length === 1)
    await held.release()
    expect(await engine.over(run)).toBe('succeeded')
    expect(await itemsOf(run)).toEqual([...named('loser', 0, 20), ...named('heir', 20, allItems)])
    gate.resolve()
    await waitFor(() => loser.saw('delivery.dropped').length === 1)
  },
)

const waitingHeirSql = `
  select from pg_stat_activity
  where datname = current_database() and application_name = 'heir' and wait_event_type = 'Lock'`
