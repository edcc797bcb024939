import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { serverOf, tokenOf } from './kubeconfig.ts'

/** An API server's answer. */
export type Answer = { status: number; retryAfter: string | undefined; body: unknown }

/** A watch, with what came so far. */
export type Watch = {
  status: number
  events: { type: string; name: string | undefined; code: number | undefined }[]
  /** Resolves when no more can come. */
  closed: Promise<void>
  stop: () => void
}

/** A client that shows everything and mends nothing, for tests of what a server or a proxy does. */
export type RawClient = {
  ask: (method: string, path: string, body?: object) => Promise<Answer>
  watch: (path: string) => Promise<Watch>
  close: () => void
}

/** Opens a client with a kubeconfig of the tests. */
export const openRawClient = (kubeconfig: string): RawClient => {
  const { server, authority } = serverOf(kubeconfig)
  const token = tokenOf(kubeconfig)
  // A connection a request: what becomes of one is not what became of the one before.
  const agent = new Agent(authority === undefined ? {} : { ca: authority })
  const open = (method: string, path: string, body?: object): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const asked = request(new URL(path, server), { method, headers, agent }, resolve)
      asked.on('error', reject)
      asked.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return {
    ask: async (method, path, body) => {
      const response = await open(method, path, body)
      const text = Buffer.concat(await Array.fromAsync(response)).toString('utf8')
      const parsed: unknown = text === '' || !isJson(response) ? text : JSON.parse(text)
      return { status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: parsed }
    },
    watch: async (path) => {
      const response = await open('GET', path)
      const events: Watch['events'] = []
      const lines = createInterface(response)
      lines.on('line', (line) => {
        const { type, object } = eventShape.parse(JSON.parse(line))
        events.push({ type, name: object.metadata.name, code: object.code })
      })
      const closed = new Promise<void>((resolve) => response.once('close', resolve))
      // A watch that breaks is what it is for; `closed` tells.
      for (const part of [response, lines]) part.on('error', () => undefined)
      return { status: response.statusCode ?? 0, events, closed, stop: () => response.destroy() }
    },
    close: () => agent.destroy(),
  }
}

const isJson = (response: IncomingMessage): boolean => response.headers['content-type'] === 'application/json'

/** An object, or what an API server says when it is to give none. */
const eventShape = z.object({
  type: z.string(),
  object: z.object({ metadata: z.object({ name: z.string().optional() }).default({}), code: z.number().optional() }),
})

/** A list of objects, or a page of it. */
export const listShape = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
  items: z.array(z.unknown()),
})
