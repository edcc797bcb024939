import type { TestProject } from 'vitest/node'
import { givenCluster } from '../api/given-cluster.ts'
import { type NodePrograms, nodeProgramsFor } from '../node/node-programs.ts'
import type { Place } from '../node/place.ts'
import { type ClusterNode, startNode } from '../node/start-node.ts'
import { refuseWhereNoNodeRuns, thisMachine } from '../node/where-nodes-run.ts'
import { openRunFolder } from '../run/run-folder.ts'
import type { Means } from '../tools/cache.ts'
import { debianPrograms } from '../tools/debian-programs.ts'
import { helmTools } from '../tools/helm-tools.ts'
import { type GivenWays, givenWays } from './given-ways.ts'
import { meansOfRun } from './means.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The node of the run; null where the cluster is not of this run. */
    node: { folder: string; ctr: string; place: Place } | null
    /** The ways between this machine and a cluster that is not of this run; null where there are none. */
    ways: GivenWays | null
  }
}

declare global {
  // oxlint-disable-next-line no-var
  var esteiraTestNode: { started: Promise<ClusterNode>; users: number } | undefined
}

/**
 * For tests that need pods to run: a node for all of them, or the cluster which `ESTEIRA_TEST_KUBECONFIG` leads to. Vitest
 * runs this for each project that names it, in a module graph of its own; the node hangs on the process for that.
 */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const given = process.env['ESTEIRA_TEST_KUBECONFIG']
  // Before minutes are spent on programs.
  if (given === undefined) refuseWhereNoNodeRuns(thisMachine())
  const ways = given === undefined ? null : givenWays(process.env)
  const means = meansOfRun()
  const tools = await helmTools(means)
  const { kubectl } = tools
  const openssl = (await debianPrograms(means, { openssl: 'openssl' }))('openssl')
  project.provide('helmTools', tools)
  project.provide('ways', ways)
  if (given !== undefined) {
    const run = await openRunFolder()
    const kubeconfig = await givenCluster({ kubectl, given, folder: run.path })
    project.provide('apiServer', { kubeconfig, folder: run.path, auditLog: null, openssl, programs: null })
    project.provide('node', null)
    if (ways === null) means.tell(withoutWays)
    return run.release
  }
  const programs = await nodeProgramsFor(means)
  const { node, leave } = await useNode(means, programs, kubectl)
  const { kubeconfig, auditLog, folder, place } = node
  project.provide('apiServer', { kubeconfig, folder, auditLog, openssl, programs: null })
  project.provide('node', { folder, ctr: programs.ctr, place })
  return leave
}

const withoutWays =
  'No scenario is run on the given cluster: ESTEIRA_TEST_REGISTRY and ESTEIRA_TEST_HOST would have its pods get images ' +
  'and reach this machine.'

/** The node of the run; the last one to leave stops it. */
const useNode = async (means: Means, programs: NodePrograms, kubectl: string) => {
  globalThis.esteiraTestNode ??= { started: startNode(means, programs, kubectl), users: 0 }
  const shared = globalThis.esteiraTestNode
  shared.users += 1
  const node = await shared.started
  const leave = async (): Promise<void> => {
    shared.users -= 1
    if (shared.users > 0) return
    globalThis.esteiraTestNode = undefined
    await node.stop()
  }
  return { node, leave }
}
