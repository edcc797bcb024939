import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { inheritable } from '@esteira/dev/processes'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { ownsNode } from '../index.ts'
import { nodeProgramsFor } from '../node/node-programs.ts'
import { type ClusterNode, startNode } from '../node/start-node.ts'
import { type Registry, startRegistry } from '../node/start-registry.ts'
import { openRunFolder } from '../run/run-folder.ts'
import { meansOfRun } from '../setup/means.ts'
import { cacheFolder } from '../tools/cache.ts'

const root = resolve(import.meta.dirname, '../../..')
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

describe.runIf(ownsNode())('a node that is somebody else’s, of which the kubeconfig is known', () => {
  const started = new AsyncDisposableStack()
  let node: ClusterNode
  let registry: Registry
  beforeAll(async () => {
    const means = meansOfRun()
    node = await startNode(means, await nodeProgramsFor(means), inject('helmTools').kubectl)
    started.defer(() => node.stop())
    const run = await openRunFolder()
    started.defer(() => run.release())
    registry = await startRegistry(means, run, node)
    started.defer(() => registry.stop())
  }, 600_000)
  afterAll(() => started.disposeAsync())

  const runScenarios = (env: Record<string, string>, ...names: string[]) => {
    const { postgresUrl, rabbitmqUrl, managementUrl } = inject('stack')
    const own = {
      ESTEIRA_TEST_CACHE: cacheFolder(process.env),
      ESTEIRA_TEST_KUBECONFIG: node.kubeconfig,
      DATABASE_URL: postgresUrl,
      RABBITMQ_URL: rabbitmqUrl,
      RABBITMQ_MANAGEMENT_URL: managementUrl,
    }
    const words = [vitest, 'run', '--config', 'vitest.cluster.config.ts', '--project', 'cluster', ...names]
    const options = { cwd: root, env: { ...inheritable(process.env), ...own, ...env }, maxBuffer: 2 ** 26 }
    return new Promise<{ said: string; last: string | undefined }>((done) => {
      execFile(process.execPath, words, options, (_, stdout, stderr) =>
        done({ said: stdout + stderr, last: stdout.trimEnd().split('\n').at(-1) }),
      )
    })
  }

  test('runs scenarios that need no node of their own, with a registry and a way to this machine', async () => {
    const ways = { ESTEIRA_TEST_REGISTRY: registry.url, ESTEIRA_TEST_HOST: node.place.machine }
    const { said, last } = await runScenarios(ways, 'scenarios/shop', 'scenarios/one-release')
    expect(last, said).toBe('cluster: 11 passed, 0 failed')
  }, 900_000)

  test('runs none without, and that is said', async () => {
    const { said, last } = await runScenarios({}, 'scenarios/shop')
    expect(last, said).toBe('cluster: 0 passed, 0 failed, 1 skipped')
    expect(said).toContain('ESTEIRA_TEST_REGISTRY and ESTEIRA_TEST_HOST would')
  }, 300_000)
})
