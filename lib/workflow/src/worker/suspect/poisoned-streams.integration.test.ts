import { expect, test } from 'vitest'
import * as z from 'zod'
import type { Engine } from '../../../test/engine.ts'
import { keepWorker } from '../../../test/keep-worker.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Starts take their time on a machine that is busy. */
const deadlineMs = 400_000
const timeout = 440_000

const env = { ESTEIRA_SUSPECT_HEAP_MIB: '96' }

/** A run with a job for each payload that gives very many items, each of which is a job of the next step. */
const beginStreams = async (functionName: string, payloads: readonly string[]): Promise<string> =>
  engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName, outputType: 'multiple', timeoutMs: 600_000 },
      { functionName: 'next', outputType: null },
    ),
    payloads,
  )

/** The jobs of a run that give items, with what is there of those: which they are, and how they stand. */
const streamsOf = async (run: string) =>
  streamRows.parse(
    await engine.query(
      `select parent.id, parent.payload, parent.status, parent.error, parent.emitted,
              coalesce(jsonb_agg(split_part(item.payload #>> '{}', ' ', 1)::int order by item.item_index)
                         filter (where item.id is not null), '[]') as items,
              count(item.id) filter (where item.status <> 'succeeded')::int as open
       from workflow_job parent
       left join workflow_job item on item.parent_id = parent.id and item.status <> 'hidden'
       where parent.run_id = $1
         and parent.parent_id = (select id from workflow_job where run_id = $1 and parent_id is null)
       group by parent.id`,
      [run],
    ),
  )

const streamRows = z.array(
  z.object({
    id: z.string(),
    payload: z.string(),
    status: z.string(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    emitted: z.int(),
    items: z.array(z.int()),
    open: z.int(),
  }),
)

const firstItems = (count: number): number[] => Array.from({ length: count }, (_, item) => item)

/**
 * Of the run's jobs that give items those whose payload is harm failed, saying how; what they had given in whole pages
 * that go on is there, in order, once, and has been done. All others gave everything.
 */
const expectGuiltyStreams = async (run: string, guilty: Record<string, string>) => {
  expect(await engine.over(run, deadlineMs)).toBe('failed')
  for (const { id, payload, status, error, emitted, items, open } of await streamsOf(run)) {
    const how = guilty[payload]
    expect({ payload, status, open }).toEqual({ payload, status: how === undefined ? 'succeeded' : 'failed', open: 0 })
    expect(items).toEqual(firstItems(emitted))
    if (how === undefined) {
      expect(emitted).toBe(35)
      continue
    }
    expect(error).toMatchObject({
      code: 'process_died',
      message: expect.stringMatching(`^the process in which it ran alone died: ${how}`),
    })
    const attempts = await engine.attempts(id)
    expect(attempts.at(-1)).toMatchObject({ outcome: 'failed', error })
    expect(attempts.slice(0, -1).every(({ outcome }) => outcome === 'lost')).toBe(true)
  }
}

/** How many items are there of a job that failed. */
const givenBy = async (run: string, payload: string) =>
  (await streamsOf(run)).find((stream) => stream.payload === payload)?.emitted

test(
  'jobs that kill their process behind their first page fail and say so; their pages stay, and neighbours give all',
  async () => {
    const pages = await beginStreams('pages', ['good', 'exit', 'memory', 'well'])
    const items = await beginStreams('items', ['good', 'abort', 'well'])
    const worker = keepWorker(engine, ['pages', 'items', 'next'], env)
    await expectGuiltyStreams(pages, { exit: 'it ended with exit code 7$', memory: 'it ran out of memory$' })
    // Two pages are written before the third is full, and that may be on its way.
    expect([20, 30]).toContain(await givenBy(pages, 'exit'))
    expect([20, 30]).toContain(await givenBy(pages, 'memory'))
    await expectGuiltyStreams(items, { abort: 'it was ended by SIGABRT$' })
    expect(await givenBy(items, 'abort')).toBe(0)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

test(
  'an endless loop behind the first page is ended, and fails and says so; neighbours give all',
  async () => {
    const pages = await beginStreams('pages.loop', ['good', 'loop'])
    const items = await beginStreams('items.loop', ['loop', 'good'])
    const worker = keepWorker(engine, ['pages.loop', 'items.loop', 'next'], { ...env, ESTEIRA_STALL_MS: '4000' })
    await expectGuiltyStreams(pages, { loop: 'its event loop stood still for 4000 ms' })
    expect([20, 30]).toContain(await givenBy(pages, 'loop'))
    await expectGuiltyStreams(items, { loop: 'its event loop stood still for 4000 ms' })
    expect(await givenBy(items, 'loop')).toBe(0)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)
