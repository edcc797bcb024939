import { Agent, request } from 'node:https'
import type { Kubectl } from './kubectl.ts'
import { serverOf, tokenOf } from './kubeconfig.ts'

type Method = 'GET' | 'POST' | 'DELETE'

/** Has an API server do something at a path; its answer. @throws with what it says, when it does not. */
export type Ask = (method: Method, path: string, body?: object) => Promise<unknown>

/**
 * Asks by a kubeconfig. Whoever waits asks over and over, and each test makes a namespace; a kubectl costs 100 ms of CPU and
 * more. So it asks by itself, on a connection that stays, where there is a token, as on the run's own servers. Other users
 * kubectl alone knows.
 */
export const createAsk = (kubeconfig: string, kubectl: Kubectl): Ask => {
  const { server, authority } = serverOf(kubeconfig)
  const token = tokenOf(kubeconfig)
  if (token === undefined)
    return async (method, path, body) => JSON.parse(await kubectl([...byKubectl[method], '--raw', path], body))
  const agent = new Agent({ keepAlive: true, ...(authority !== undefined && { ca: authority }) })
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json',
    'content-type': 'application/json',
  }
  const send = (method: Method, path: string, body?: object): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const asked = request(new URL(path, server), { method, headers, agent, timeout: 30_000 }, (response) => {
        const status = response.statusCode ?? 0
        Array.fromAsync(response)
          .then((parts) => resolve({ status, text: Buffer.concat(parts).toString('utf8') }))
          .catch(reject)
      })
      asked.once('timeout', () => asked.destroy(new Error('no answer')))
      asked.once('error', reject)
      asked.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return async (method, path, body) => {
    const { status, text } = await send(method, path, body)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`)
    return JSON.parse(text)
  }
}

const byKubectl: Record<Method, readonly string[]> = {
  GET: ['get'],
  POST: ['create', '--filename', '-'],
  DELETE: ['delete'],
}
