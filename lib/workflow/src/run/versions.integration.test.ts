import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { retry } from '../function/outcome.ts'
import { sendAgain } from './send-again.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

test('jobs in flight finish on the version that their run began with, while others are saved and run', async () => {
  const gate = Promise.withResolvers<void>()
  const splits: string[] = []
  const split = functionOf('split', async ({ config }) => {
    splits.push(tagOf(config))
    await gate.promise
    return [1, 2, 3, 4, 5, 6]
  })
  /** Each attempt that a function makes, with what its config says: the first ones fail, and one until it is mended. */
  const attempts: string[] = []
  let isMended = false
  const work = (name: string) =>
    functionOf(name, ({ config, payload, attempt, job }) => {
      attempts.push(`${name} ${tagOf(config)} ${String(payload)}`)
      if (payload === 1 && attempt === 1) return retry(`once more: ${job.id}`)
      if (payload === 2 && !isMended) throw Object.assign(new Error('not mended'), { final: true })
      return `${name} ${tagOf(config)}`
    })
  const end = functionOf('end', ({ config }) => tagOf(config))
  const worker = await engine.startWorker([split, work('old work'), work('new work'), end], { window: 2 })

  const first = await engine.saveWorkflow(
    { functionName: 'split', outputType: 'multiple', config: { tag: 'old' } },
    { functionName: 'old work', outputType: 'single', config: { tag: 'old' }, retry: { delayMs: 500 } },
    { functionName: 'end', outputType: 'single', config: { tag: 'old' } },
  )
  const oldRun = await engine.begin(first, null)
  await waitFor(() => splits.length === 1)
  // Another function, another config, an attempt less, and no next step.
  const second = await engine.saveVersion(
    first,
    { functionName: 'split', outputType: 'multiple', config: { tag: 'new' } },
    { functionName: 'new work', outputType: 'single', config: { tag: 'new' }, retry: { delayMs: 500, maxAttempts: 2 } },
  )
  const newRun = await engine.begin(second, null)
  await waitFor(() => splits.length === 2)
  gate.resolve()
  expect([await engine.over(oldRun), await engine.over(newRun)]).toEqual(['failed', 'failed'])
  expect(splits).toEqual(['old', 'new'])

  isMended = true
  for (const run of [oldRun, newRun]) {
    const failed = (await engine.jobs(run)).find(({ status }) => status === 'failed')
    expect(failed?.payload).toBe(2)
    expect(await sendAgain(engine.em(), failed?.id ?? '', { lane: engine.laneId })).toBe('sent')
  }
  expect([await engine.over(oldRun), await engine.over(newRun)]).toEqual(['succeeded', 'succeeded'])
  await worker.stop()

  const tries = (tag: string) => [1, 1, 2, 2, 3, 4, 5, 6].map((payload) => `${tag} work ${tag} ${payload}`)
  expect(attempts.toSorted()).toEqual([...tries('new'), ...tries('old')])
  expect(await outputs(oldRun, 2)).toEqual(Array.from({ length: 6 }, () => 'old'))
  expect(await outputs(newRun, 1)).toEqual(Array.from({ length: 6 }, () => 'new work new'))
  expect((await engine.jobs(newRun)).map(({ step }) => step)).not.toContain(2)
})

const tagOf = (config: object): string => ('tag' in config ? String(config.tag) : 'none')

const outputs = async (run: string, step: number): Promise<unknown[]> =>
  (await engine.jobs(run)).filter((job) => job.step === step).map(({ output }) => output)
