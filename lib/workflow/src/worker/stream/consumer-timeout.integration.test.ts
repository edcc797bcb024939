import { setTimeout as delay } from 'node:timers/promises'
import { startImpatientRabbitmq, waitFor } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, openEngine } from '../../../test/engine.ts'
import { expectConserved } from '../../../test/expect-conserved.ts'
import { defineFunction, page } from '../../index.ts'

const consumerTimeoutMs = 4_000
/** The streams last for two and a half of that. */
const items = 50
const itemMs = 200

let engine: Engine

beforeAll(async () => {
  engine = await openEngine(await startImpatientRabbitmq(consumerTimeoutMs))
}, 120_000)
afterEach(() => expectConserved(engine))
afterAll(() => engine.close())

/** Carries a stream that lasts longer than the broker waits for an ack, and gives what the belt said. */
const carry = async (name: string, continueMs: number) => {
  const fn = defineFunction({
    name,
    config: z.looseObject({}),
    cursor: z.int(),
    run: async function* ({ cursor }) {
      for (let item = cursor ?? 0; item < items; item += 1) {
        await delay(itemMs)
        yield page([item], item + 1)
      }
    },
  })
  const worker = await engine.startWorker([fn, functionOf(`${name}.next`, () => undefined)], { continueMs })
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  const isOver = async () => (await engine.statusOf(run)) !== 'running'
  await waitFor(isOver, { deadlineMs: 60_000, describe: () => worker.events })
  const [, ...children] = await engine.jobs(run)
  return { worker, children: children.map(({ payload }) => payload) }
}

test('a stream that lasts longer than the broker waits for an ack loses no delivery', async () => {
  const { worker, children } = await carry('patient', 1_000)
  expect(children).toEqual(Array.from({ length: items }, (_, item) => item))
  expect([...worker.saw('belt.fault'), ...worker.saw('belt.lost'), ...worker.saw('delivery.dropped')]).toEqual([])
  await worker.stop()
}, 90_000)

test('the broker takes back the delivery of one that does not go on in another, and still each item is there once', async () => {
  const { worker, children } = await carry('late', 60_000)
  expect(children).toEqual(Array.from({ length: items }, (_, item) => item))
  expect(worker.saw('belt.fault').length).toBeGreaterThan(0)
  await worker.stop()
}, 90_000)
