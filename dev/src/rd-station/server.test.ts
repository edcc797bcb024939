import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { startRdStation } from './server.ts'
import type { RdStationOptions } from './stand-in.ts'

const setup = async (options: RdStationOptions = {}) => {
  const rdStation = await startRdStation(options)
  onTestFinished(rdStation.stop)
  const { clientId, clientSecret, refreshToken } = rdStation.credentials
  const askToken = (signal?: AbortSignal) =>
    fetch(`${rdStation.url}/auth/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken }),
      ...(signal === undefined ? {} : { signal }),
    })
  return { rdStation, askToken }
}

test('its credentials open it over HTTP', async () => {
  const { rdStation, askToken } = await setup({ leads: 3 })
  const { access_token } = z.object({ access_token: z.string() }).parse(await (await askToken()).json())
  const response = await fetch(`${rdStation.url}/platform/segmentations/1/contacts`, {
    headers: { authorization: `Bearer ${access_token}` },
  })
  expect(await response.json()).toMatchObject({ contacts: [{}, {}, {}] })
})

test('a reset breaks the connection and is counted as one', async () => {
  const { rdStation, askToken } = await setup()
  rdStation.control.set({ failNext: [{ status: 'reset', on: 'token' }] })
  await expect(askToken()).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } })
  expect((await askToken()).status).toBe(200)
  expect(rdStation.control.state().requests).toEqual({ '/auth/token': { reset: 1, 200: 1 } })
})

test('a client that gives up on a slow answer is counted as gone', async () => {
  const { rdStation, askToken } = await setup({ latencyMs: 600_000 })
  const giveUp = new AbortController()
  const answer = askToken(giveUp.signal)
  await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
  giveUp.abort()
  await expect(answer).rejects.toThrow('aborted')
  await expect.poll(() => rdStation.control.state().requests).toEqual({ '/auth/token': { gone: 1 } })
})

test('two of them on one port are refused, and stopping frees the port', async () => {
  const { rdStation } = await setup()
  const port = Number(new URL(rdStation.url).port)
  await expect(startRdStation({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await Promise.all([rdStation.stop(), rdStation.stop()])
  const second = await startRdStation({ port })
  await second.stop()
})

test('it stops within its grace even while it is slow', async () => {
  const { rdStation, askToken } = await setup({ latencyMs: 600_000 })
  const answer = Promise.allSettled([askToken()])
  await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
  const began = performance.now()
  await rdStation.stop()
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(await answer).toMatchObject([{ status: 'rejected', reason: { message: 'fetch failed' } }])
})
