import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { numbers, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { page } from '../../index.ts'
import { cancelRun } from '../../run/cancel-run.ts'
import { mostBytes, pageMemoryBytes } from './limits.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** As many as have more than the memory of all streams, with two full pages each. */
const mostStreams = pageMemoryBytes() / (2 * mostBytes) + 4

test('streams that wait for a held run leave memory to those of others', async () => {
  const gate = Promise.withResolvers<void>()
  const item = 'x'.repeat(mostBytes / 8)
  let begun = 0
  const large = resumableOf('large', async function* ({ cursor }) {
    begun += 1
    await gate.promise
    for (let next = cursor ?? 0; next < 32; next += 1) yield page([item], next + 1)
  })
  const small = resumableOf('small', async function* () {
    yield pageOf(0, 3)
  })
  const worker = await engine.startWorker([large, small, functionOf('next', () => undefined)])
  const next = { functionName: 'next', outputType: null } as const
  const held = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: 'large', outputType: 'multiple' },
      next,
    ),
    numbers(0, mostStreams),
  )
  await waitFor(() => begun === mostStreams)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  gate.resolve()
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  const free = await engine.begin(
    await engine.saveWorkflow({ functionName: 'small', outputType: 'multiple' }, next),
    null,
  )
  expect(await engine.over(free)).toBe('succeeded')
  expect(await engine.statusOf(held)).toBe('running')
  await release()
  await cancelRun(engine.em(), held)
  expect(await engine.over(held, 60_000)).toBe('cancelled')
  expect(await engine.untrueCounters()).toEqual([])
})
