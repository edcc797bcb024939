import type { TestProject } from 'vitest/node'
import { givenCluster } from '../api/given-cluster.ts'
import { startApiServer, type ApiServerPrograms } from '../api/start-api-server.ts'
import { openRunFolder } from '../run/run-folder.ts'
import { apiServerPrograms } from '../tools/api-server-programs.ts'
import { debianPrograms } from '../tools/debian-programs.ts'
import { helmTools, type HelmTools } from '../tools/helm-tools.ts'
import { meansOfRun } from './means.ts'

declare module 'vitest' {
  interface ProvidedContext {
    helmTools: HelmTools
    apiServer: {
      /** Of an administrator. */
      kubeconfig: string
      /** Where files of the run go. */
      folder: string
      /** Null where the API server is not of this run. */
      auditLog: string | null
      openssl: string
      /** What a test starts an API server of its own with; null where the API server is not of this run. */
      programs: ApiServerPrograms | null
    }
  }
}

/**
 * For tests that need an API server and nothing that acts on what is written to it: one for all of them, or that of the
 * cluster which `ESTEIRA_TEST_KUBECONFIG` leads to.
 */
export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const means = meansOfRun()
  const tools = await helmTools(means)
  const openssl = (await debianPrograms(means, { openssl: 'openssl' }))('openssl')
  const given = process.env['ESTEIRA_TEST_KUBECONFIG']
  const programs = given === undefined ? await apiServerPrograms(means) : null
  project.provide('helmTools', tools)
  const run = await openRunFolder()
  const common = { folder: run.path, openssl, programs }
  try {
    if (programs === null) {
      const kubeconfig = await givenCluster({ kubectl: tools.kubectl, given: given ?? '', folder: run.path })
      project.provide('apiServer', { ...common, kubeconfig, auditLog: null })
      return () => run.release()
    }
    const server = await startApiServer(programs, run)
    const { kubeconfig, auditLog } = server
    project.provide('apiServer', { ...common, kubeconfig, auditLog })
    return async () => {
      await server.stop()
      await run.release()
    }
  } catch (error) {
    await run.release()
    throw error
  }
}
