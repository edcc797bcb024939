import { Agent, request } from 'node:https'
import type { Kubectl } from './kubectl.ts'
import { serverOf, tokenOf } from './kubeconfig.ts'

/** Reads what an API server has at a path. @throws with what it says, when it gives none. */
export type Reader = (path: string) => Promise<unknown>

/**
 * A reader by a kubeconfig. Whoever waits asks over and over, and each kubectl costs 100 ms of CPU: so it asks by itself,
 * on a connection that stays, where there is a token, as on the run's own servers. Other users kubectl alone knows.
 */
export const createReader = (kubeconfig: string, kubectl: Kubectl): Reader => {
  const { server, authority } = serverOf(kubeconfig)
  const token = tokenOf(kubeconfig)
  if (token === undefined) return async (path) => JSON.parse(await kubectl(['get', '--raw', path]))
  const agent = new Agent({ keepAlive: true, ...(authority !== undefined && { ca: authority }) })
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  const ask = (path: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const asked = request(new URL(path, server), { headers, agent, timeout: 30_000 }, (response) => {
        const status = response.statusCode ?? 0
        Array.fromAsync(response)
          .then((parts) => resolve({ status, text: Buffer.concat(parts).toString('utf8') }))
          .catch(reject)
      })
      asked.once('timeout', () => asked.destroy(new Error('no answer')))
      asked.once('error', reject)
      asked.end()
    })
  return async (path) => {
    const { status, text } = await ask(path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`)
    return JSON.parse(text)
  }
}
