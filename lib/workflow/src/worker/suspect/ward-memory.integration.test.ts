import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { keepWorker } from '../../../test/keep-worker.ts'
import { makeMemoryGroup } from '../../../test/memory-group.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Starts take their time on a machine that is busy. */
const deadlineMs = 400_000
const timeout = 440_000

test(
  'in a container with the memory of the chart a job that fills it fails and says so, and nothing is killed by the system',
  async ({ skip }) => {
    const group = makeMemoryGroup(512 * 2 ** 20)
    if ('whyNot' in group) return skip(group.whyNot)
    const payloads = Array.from({ length: 30 }, (_, index) => `innocent ${index}`)
    const workflow = await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: 'contained', outputType: 'single', timeoutMs: 600_000 },
    )
    const run = await engine.begin(workflow, payloads.with(10, 'buffers').with(20, 'memory'))
    const worker = keepWorker(engine, ['contained'], {}, group)
    expect(await engine.over(run, deadlineMs)).toBe('failed')
    const jobs = (await engine.jobs(run)).filter(({ step }) => step === 1)
    const failed = Object.fromEntries(
      jobs.filter(({ status }) => status === 'failed').map(({ payload, error }) => [String(payload), error]),
    )
    const died = 'the process in which it ran alone died: '
    expect(failed).toMatchObject({
      buffers: {
        code: 'process_died',
        message: expect.stringMatching(`^${died}it took more than 25\\d MiB of memory`),
      },
      memory: { code: 'process_died', message: `${died}it ran out of memory` },
    })
    expect(Object.keys(failed)).toHaveLength(2)
    expect(jobs.filter(({ status }) => status === 'succeeded')).toHaveLength(28)
    expect(group.oomKills()).toBe(0)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)
