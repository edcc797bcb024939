import { join } from 'node:path'
import { freePort } from '@esteira/dev/stack'
import { z } from 'zod'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer } from '../run/start-server.ts'

/** The store of an API server. */
export type Etcd = {
  url: string
  /** Forgets every version but the newest, which is a new one. */
  compact: () => Promise<void>
  stop: () => Promise<void>
}

/** Starts an etcd on loopback, with its data in the run's folder. */
export const startEtcd = async ({ program, run }: { program: string; run: RunFolder }): Promise<Etcd> => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const peerUrl = `http://127.0.0.1:${await freePort(new Set([port]))}`
  const server = await startServer({
    run,
    name: 'etcd',
    role: 'service',
    stopSignal: 'SIGKILL',
    program,
    words: [
      ['--data-dir', join(run.path, 'etcd')],
      ['--listen-client-urls', url, '--advertise-client-urls', url],
      ['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ['--initial-cluster', `default=${peerUrl}`],
      // Only a machine that falls loses anything by this.
      ['--unsafe-no-fsync'],
    ].flat(),
    ask: async () => {
      healthShape.parse(await (await fetch(`${url}/health`, { signal: AbortSignal.timeout(5_000) })).json())
    },
  })
  return {
    url,
    compact: async () => {
      // Whoever saw the newest version so far is to have seen an old one.
      const put = await post(`${url}/v3/kv/put`, { key: btoa('compacted'), value: btoa('') })
      const { header } = putShape.parse(put)
      await post(`${url}/v3/kv/compaction`, { revision: header.revision, physical: true })
    },
    stop: () => server.stop(),
  }
}

const healthShape = z.object({ health: z.literal('true') })
const putShape = z.object({ header: z.object({ revision: z.string() }) })

/** Calls etcd's gRPC as JSON. */
const post = async (url: string, body: object): Promise<unknown> => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(20_000) })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return response.json()
}
