import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { useLink } from '../../../test/use-link.ts'
import { silentLog } from '../../../test/worker-options.ts'
import { type BeltEvent, openBelt } from './belt.ts'
import type { Delivery } from './delivery.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const link = useLink(() => engine.rabbitmqUrl)

test('a queue that is there with other arguments is told by name and argument, and each try leaves no connection', async () => {
  await engine.broker.declareQueue('other')
  const lines: Record<string, unknown>[] = []
  const openLinks: number[] = []
  const started = engine.startWorker([functionOf('other', () => undefined)], {
    rabbitmqUrl: link().url,
    log: {
      ...silentLog,
      warn: (line) => {
        lines.push(line)
        openLinks.push(link().connections())
      },
    },
  })
  // Four tries with the pauses between them, on a busy machine as well.
  await waitFor(() => lines.length === 4, { deadlineMs: 20_000 })
  // What was closed for the last line may not have ended yet.
  expect(Math.max(...openLinks)).toBeLessThanOrEqual(2)
  await waitFor(() => link().connections() === 0)
  expect(lines[0]).toMatchObject({
    event: 'service.unavailable',
    reason: expect.stringMatching(/ 'x-queue-type' for queue 'other' .* 'quorum' .* current is none/),
  })
  await engine.broker.deleteQueue('other')
  await started
  expect(await engine.broker.count('other')).toBe(0)
})

test('of a lost broker only the address and what was said are told', async () => {
  const worker = await engine.startWorker([functionOf('told', () => undefined)], { rabbitmqUrl: link().url })
  link().cut()
  await waitFor(() => worker.saw('belt.lost').length > 1)
  link().resume()
  await waitFor(() => worker.saw('belt.back').length > 0)
  const address = new URL(link().url)
  address.password = ''
  for (const event of worker.saw('belt.lost')) {
    expect(event).toMatchObject({ address: address.href, reason: expect.not.stringContaining('amqp://') })
  }
})

test('a start that is given up while RabbitMQ is slow to answer leaves no connection', async () => {
  // Of the worker before.
  await waitFor(() => link().connections() === 0)
  link().pause()
  const ending = new AbortController()
  const started = engine.startWorker([functionOf('late', () => undefined)], {
    rabbitmqUrl: link().url,
    signal: ending.signal,
  })
  await waitFor(() => link().connections() > 0)
  ending.abort(new Error('enough'))
  link().resume()
  await expect(started).rejects.toThrow('enough')
  await waitFor(() => link().connections() === 0)
})

test('a worker that has started comes back from a link that falls at once, instead of hearing nothing for good', async () => {
  const worker = await engine.startWorker([functionOf('heard', () => undefined)], { rabbitmqUrl: link().url })
  link().cut()
  await waitFor(() => worker.saw('belt.lost').length > 0)
  link().resume()
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'heard', outputType: null }), null)
  expect(await engine.over(run)).toBe('succeeded')
})

/** A belt by itself, with what it delivers and says. */
const openOne = async (queue: string, prefetch = 10) => {
  const deliveries: Delivery[] = []
  const events: BeltEvent[] = []
  const belt = await openBelt(
    {
      rabbitmqUrl: link().url,
      worker: 'test',
      queues: [queue],
      prefetchOf: () => prefetch,
      graceMs: 0,
      onDelivery: (_, delivery) => deliveries.push(delivery),
      onProbe: () => undefined,
      observe: (event) => events.push(event),
    },
    new AbortController().signal,
  )
  let stopped: Promise<void> | undefined
  const stop = () => (stopped ??= belt.stop())
  onTestFinished(async () => {
    await stop()
    await engine.broker.deleteQueue(queue)
  })
  const send = async (count: number) => {
    const references = Array.from({ length: count }, () => ({ jobId: randomUUID(), seq: 1 }))
    for (const reference of references) await engine.broker.publish(queue, reference)
    return references
  }
  return { deliveries, events, send, stop }
}

test('a delivery tells how often the broker had it back', async () => {
  const { deliveries, send } = await openOne('counted')
  const [reference] = await send(1)
  await waitFor(() => deliveries.length === 1)
  expect(deliveries[0]).toMatchObject({ reference, redelivered: false, deliveries: 0 })
  const handedBackMs = performance.now()
  deliveries[0]?.handBack()
  await waitFor(() => deliveries.length === 2)
  expect(performance.now() - handedBackMs).toBeGreaterThan(900)
  expect(deliveries[1]).toMatchObject({ reference, redelivered: true, deliveries: 1 })
  link().cut()
  link().resume()
  await waitFor(() => deliveries.length === 3)
  expect(deliveries[2]).toMatchObject({ reference, redelivered: true, deliveries: 2 })
  deliveries[2]?.ack()
})

test('a slow job holds back the acks of no other', async () => {
  const { deliveries, send, stop } = await openOne('slow')
  const references = await send(10)
  await waitFor(() => deliveries.length === 10)
  for (const [index, delivery] of deliveries.entries()) {
    if (index !== 0 && index !== 5) delivery.ack()
  }
  await stop()
  await waitFor(async () => (await engine.broker.count('slow')) === 2)
  expect(await engine.broker.look('slow')).toEqual([references[0], references[5]])
})

test('no more than the prefetch is in hand, and an ack makes room for the next', async () => {
  const { deliveries, send } = await openOne('few', 3)
  await send(5)
  await waitFor(() => deliveries.length === 3)
  expect(await engine.broker.count('few')).toBe(2)
  deliveries[1]?.ack()
  await waitFor(() => deliveries.length === 4)
  expect(await engine.broker.count('few')).toBe(1)
})

test('what is answered a second time, or after its channel ended, harms nobody', async () => {
  const { deliveries, events, send } = await openOne('answered')
  await send(1)
  await waitFor(() => deliveries.length === 1)
  link().cut()
  link().resume()
  await waitFor(() => deliveries.length === 2)
  const [lost, again] = deliveries
  lost?.ack()
  lost?.handBack()
  again?.ack()
  again?.ack()
  again?.handBack()
  const [reference] = await send(1)
  await waitFor(() => deliveries.length === 3)
  expect(deliveries[2]).toMatchObject({ reference })
  deliveries[2]?.ack()
  expect(events.filter(({ kind }) => kind === 'belt.fault')).toEqual([])
})

test('a queue that is deleted is told, declared anew and consumed again', async () => {
  const worker = await engine.startWorker([functionOf('deleted', () => undefined), functionOf('kept', () => undefined)])
  await engine.broker.deleteQueue('deleted')
  await waitFor(() => worker.saw('belt.fault').length > 0)
  expect(worker.saw('belt.fault')).toMatchObject([{ queue: 'deleted', reason: expect.stringContaining('cancelled') }])
  for (const functionName of ['kept', 'deleted']) {
    const run = await engine.begin(await engine.saveWorkflow({ functionName, outputType: null }), null)
    expect(await engine.over(run)).toBe('succeeded')
  }
  expect(worker.saw('belt.lost')).toEqual([])
})
