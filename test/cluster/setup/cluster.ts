import type { TestProject } from 'vitest/node'
import { givenCluster } from '../api/given-cluster.ts'
import { nodeProgramsFor } from '../node/node-programs.ts'
import type { Place } from '../node/place.ts'
import { startNode } from '../node/start-node.ts'
import { refuseWhereNoNodeRuns, thisMachine } from '../node/where-nodes-run.ts'
import { openRunFolder } from '../run/run-folder.ts'
import { debianPrograms } from '../tools/debian-programs.ts'
import { helmTools } from '../tools/helm-tools.ts'
import { meansOfRun } from './means.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The node of the run; null where the cluster is not of this run. */
    node: { folder: string; ctr: string; place: Place } | null
  }
}

/** For tests that need pods to run: a node for all of them, or the cluster which `ESTEIRA_TEST_KUBECONFIG` leads to. */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const given = process.env['ESTEIRA_TEST_KUBECONFIG']
  // Before minutes are spent on programs.
  if (given === undefined) refuseWhereNoNodeRuns(thisMachine())
  const means = meansOfRun()
  const tools = await helmTools(means)
  const { kubectl } = tools
  const openssl = (await debianPrograms(means, { openssl: 'openssl' }))('openssl')
  project.provide('helmTools', tools)
  if (given !== undefined) {
    const run = await openRunFolder()
    const kubeconfig = await givenCluster({ kubectl, given, folder: run.path })
    project.provide('apiServer', { kubeconfig, folder: run.path, auditLog: null, openssl, programs: null })
    project.provide('node', null)
    return run.release
  }
  const programs = await nodeProgramsFor(means)
  const { kubeconfig, auditLog, folder, place, stop } = await startNode(means, programs, kubectl)
  project.provide('apiServer', { kubeconfig, folder, auditLog, openssl, programs: null })
  project.provide('node', { folder, ctr: programs.ctr, place })
  return stop
}
