import { type Proxy, startProxy, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, functionOf, silentLog } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'

let engine: Engine
let link: Proxy

useEngine((opened) => {
  engine = opened
})

beforeAll(async () => {
  link = await startProxy(engine.rabbitmqUrl)
})

afterAll(() => link.stop())

test('a queue that is there with other arguments is told by name and argument, and each try leaves no connection', async () => {
  await engine.broker.declareQueue('other')
  const lines: Record<string, unknown>[] = []
  const openLinks: number[] = []
  const started = engine.startWorker([functionOf('other', () => undefined)], {
    rabbitmqUrl: link.url,
    log: {
      ...silentLog,
      warn: (line) => {
        lines.push(line)
        openLinks.push(link.connections())
      },
    },
  })
  await waitFor(() => lines.length === 4)
  // What was closed for the last line may not have ended yet.
  expect(Math.max(...openLinks)).toBeLessThanOrEqual(2)
  await waitFor(() => link.connections() === 0)
  expect(lines[0]).toMatchObject({
    event: 'service.unavailable',
    reason: expect.stringMatching(/ 'x-queue-type' for queue 'other' .* 'quorum' .* current is none/),
  })
  await engine.broker.deleteQueue('other')
  await started
  expect(await engine.broker.count('other')).toBe(0)
})

test('of a lost broker only the address and what was said are told', async () => {
  const worker = await engine.startWorker([functionOf('told', () => undefined)], { rabbitmqUrl: link.url })
  link.cut()
  await waitFor(() => worker.saw('belt.lost').length > 1)
  link.resume()
  await waitFor(() => worker.saw('belt.back').length > 0)
  const address = new URL(link.url)
  address.password = ''
  for (const event of worker.saw('belt.lost')) {
    expect(event).toMatchObject({ address: address.href, reason: expect.not.stringContaining('amqp://') })
  }
})

test('a start that is given up while RabbitMQ is slow to answer leaves no connection', async () => {
  // Of the worker before.
  await waitFor(() => link.connections() === 0)
  link.pause()
  const ending = new AbortController()
  const started = engine.startWorker([functionOf('late', () => undefined)], {
    rabbitmqUrl: link.url,
    signal: ending.signal,
  })
  await waitFor(() => link.connections() > 0)
  ending.abort(new Error('enough'))
  link.resume()
  await expect(started).rejects.toThrow('enough')
  await waitFor(() => link.connections() === 0)
})

test('a worker that has started comes back from a link that falls at once, instead of hearing nothing for good', async () => {
  const worker = await engine.startWorker([functionOf('heard', () => undefined)], { rabbitmqUrl: link.url })
  link.cut()
  await waitFor(() => worker.saw('belt.lost').length > 0)
  link.resume()
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'heard', outputType: null }), null)
  expect(await engine.over(run)).toBe('succeeded')
})
