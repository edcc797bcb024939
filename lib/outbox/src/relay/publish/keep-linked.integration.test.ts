import { createVhost, startProxy } from '@esteira/test/support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startClosingProxy } from '../../../test/closing-proxy.ts'
import { checkOptions } from '../options.ts'
import { createBrokerLink } from './broker-link.ts'
import { keepLinked } from './keep-linked.ts'

let vhost: Awaited<ReturnType<typeof createVhost>>
beforeAll(async () => {
  vhost = await createVhost()
})
afterAll(() => vhost.drop())

/**
 * How long it is waited after each of six connections, of which `fall` ends each at once, and which last so long by the
 * clock.
 */
const waitsOf = async (rabbitmqUrl: string, fall: (link: ReturnType<typeof createBrokerLink>) => void, lastsMs = 0) => {
  const over = new AbortController()
  const waits: number[] = []
  let nowMs = 0
  const link = createBrokerLink({
    rabbitmqUrl,
    name: 'kept',
    observe: ({ kind }) => {
      if (kind === 'broker.connected') setImmediate(() => fall(link))
      if (kind === 'broker.lost') nowMs += lastsMs
    },
  })
  onTestFinished(link.close)
  const settings = checkOptions({ databaseUrl: 'postgres://none', rabbitmqUrl, lane: 'kept' })
  const wait = async (ms: number) => {
    waits.push(ms)
    if (waits.length === 6) over.abort()
  }
  await keepLinked(link, settings, over.signal, { wait, now: () => nowMs })
  return waits
}

const firstPause = expect.toSatisfy((ms: number) => ms >= 125 && ms <= 250)

test('connections that fall young are opened more and more seldom, and those that lasted at once', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const waits = await waitsOf(proxy.url, proxy.breakForClients)
  for (const [index, ms] of waits.entries()) expect(ms).toBeGreaterThanOrEqual(125 * 2 ** index)
  expect(await waitsOf(proxy.url, proxy.breakForClients, 30_000)).toEqual(Array(6).fill(firstPause))
})

test('a connection that was closed over a row is no attempt that failed', async () => {
  // The numbers of the class and the method that open a channel.
  const proxy = await startClosingProxy(vhost.url, '\u0000\u0014\u0000\n')
  onTestFinished(proxy.stop)
  const openChannel = (link: ReturnType<typeof createBrokerLink>) => link.connection().createChannel(() => {})
  expect(await waitsOf(proxy.url, openChannel)).toEqual(Array(6).fill(firstPause))
})
