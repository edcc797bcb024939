import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '@esteira/dev/stack'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import type { Means } from '../tools/cache.ts'
import { debianPrograms } from '../tools/debian-programs.ts'
import { registriesOf } from './node-folder.ts'
import type { ClusterNode } from './start-node.ts'

/** A registry of images on this machine, without TLS, that a node pulls from. */
export type Registry = Pick<RunServer, 'stop'> & { url: string }

/** Starts a registry for a node, which keeps its images in the folder of a run. */
export const startRegistry = async (
  means: Means,
  run: RunFolder,
  { folder, place }: ClusterNode,
): Promise<Registry> => {
  const programs = await debianPrograms(means, { 'docker-registry': 'docker-registry' })
  const address = `${place.machine}:${await freePort()}`
  const url = `http://${address}`
  const config = join(run.path, 'registry.json')
  const settings = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(run.path, 'images') } },
    http: { addr: address },
  }
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(settings))
  const { stop } = await startServer({
    run,
    name: 'registry',
    role: 'service',
    program: programs('docker-registry'),
    words: ['serve', config],
    ask: async () => {
      const { ok, status } = await fetch(`${url}/v2/`)
      if (!ok) throw new Error(`${url}: ${status}`)
    },
  })
  const host = join(registriesOf(folder), address)
  mkdirSync(host, { recursive: true })
  writeFileSync(join(host, 'hosts.toml'), `[host."${url}"]\ncapabilities = ["pull", "resolve"]\n`)
  return { url, stop }
}
