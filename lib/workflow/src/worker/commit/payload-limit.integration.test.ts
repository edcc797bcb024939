import { expect, test } from 'vitest'
import { type Engine, functionOf, type StepDraft } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Begins one job for each size, at a step whose function gives as many bytes. */
const giveOfSizes = async (outputType: 'single' | 'multiple', sizes: readonly number[]) => {
  const name = `gives ${outputType}`
  // The quotes count.
  const give = (bytes: unknown) => 'a'.repeat(Number(bytes) - 2)
  const worker = await engine.startWorker(
    [
      functionOf(name, ({ payload }) => (outputType === 'single' ? give(payload) : ['small', give(payload)])),
      functionOf(`${name}.next`, () => undefined),
    ],
    { maxPayloadBytes: 1_024 },
  )
  const last: StepDraft = { functionName: `${name}.next`, outputType: null }
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: name, outputType, retry: { maxAttempts: 5 } },
    last,
  )
  return { worker, run: await engine.begin(workflow, sizes) }
}

test.each([
  ['single', /^step "step 1": its result has 1,025 bytes as JSON, and 1,024 are allowed: give smaller items/],
  ['multiple', /^step "step 1": item 2 of 2 has 1,025 bytes as JSON, and 1,024 are allowed: pass on where/],
] as const)(
  'a "%s" result over the limit fails its own job at once, and one at the limit goes on',
  async (type, said) => {
    const { run } = await giveOfSizes(type, [1_024, 1_025, 10])
    expect(await engine.over(run)).toBe('failed')
    const jobs = await engine.jobs(run)
    expect(jobs.filter(({ step }) => step === 1).map(({ status, attempt }) => [status, attempt])).toEqual([
      ['succeeded', 1],
      ['failed', 1],
      ['succeeded', 1],
    ])
    expect(jobs.find(({ status }) => status === 'failed')?.error).toEqual({
      code: 'payload_too_large',
      message: expect.stringMatching(said),
    })
    expect(jobs.filter(({ step }) => step === 2)).toHaveLength(type === 'single' ? 2 : 4)
  },
)

test('an output that stays on its job is held to the limit, and an input that only goes on is not', async () => {
  await engine.startWorker([functionOf('keeps', () => 'a'.repeat(1_024)), functionOf('passes', () => undefined)], {
    maxPayloadBytes: 1_024,
  })
  const kept = await engine.begin(await engine.saveWorkflow({ functionName: 'keeps', outputType: 'single' }), null)
  expect(await engine.over(kept)).toBe('failed')
  expect(await engine.jobs(kept)).toMatchObject([{ output: null, error: { code: 'payload_too_large' } }])
  const passing = await engine.saveWorkflow(
    { functionName: 'passes', outputType: null },
    { functionName: 'passes', outputType: null },
  )
  const large = 'a'.repeat(2_000)
  const passed = await engine.begin(passing, large)
  expect(await engine.over(passed)).toBe('succeeded')
  expect(await engine.jobs(passed)).toMatchObject([{ payload: large }, { payload: large }])
})
