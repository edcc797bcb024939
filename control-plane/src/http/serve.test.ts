import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { serve } from './serve.ts'

const opened = async (graceMs: number) => {
  const serving = await serve({ fetch: () => new Response('here'), host: '127.0.0.1', port: 0, graceMs })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  const ask = async () => {
    const request = get(serving.url, { agent })
    const [response]: IncomingMessage[] = await once(request, 'response')
    await once(response?.resume() ?? expect.fail(), 'end')
    return { status: response?.statusCode, connection: response?.headers.connection, isKept: request.reusedSocket }
  }
  return { serving, ask }
}

test('a client whose connection is kept is answered after the stop, and told to leave', async () => {
  const { serving, ask } = await opened(10_000)
  expect(await ask()).toEqual({ status: 200, connection: 'keep-alive', isKept: false })
  const stopped = serving.stop()
  expect(await ask()).toEqual({ status: 200, connection: 'close', isKept: true })
  await stopped
  await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a client that keeps its connection and says nothing is not waited for beyond the grace', async () => {
  const { serving, ask } = await opened(200)
  await ask()
  await serving.stop()
  await expect(ask()).rejects.toMatchObject({ code: expect.stringMatching(/^ECONN(REFUSED|RESET)$/) })
})
