import { once } from 'node:events'
import { connect } from 'node:net'
import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../test/use-lane.ts'

useLane()

test('a relay that is stopped while it connects to Postgres says nothing after that it has stopped', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const said: string[] = []
  const relay = lane.relay({ databaseUrl: proxy.url, observe: ({ kind }) => said.push(kind) })
  await relay.start()
  proxy.cut()
  await waitFor(() => said.includes('database.unavailable') && proxy.connections() === 0)
  proxy.pause()
  await waitFor(() => proxy.connections() === 2, { describe: 'the control session and the bell to connect' })
  await relay.stop({ graceMs: 0 })
  expect(said.at(-1)).toBe('relay.stopped')
  // Connected after the relay was, so it hears of the break after the relay.
  const witness = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  await waitFor(() => proxy.connections() > 0)
  proxy.cut()
  await Promise.all([once(witness, 'close'), waitFor(() => proxy.connections() === 0)])
  expect(said.at(-1)).toBe('relay.stopped')
})
