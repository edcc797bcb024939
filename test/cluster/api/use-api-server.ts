import { inject } from 'vitest'
import { openRunFolder } from '../run/run-folder.ts'
import { makeNamespace, type TestNamespace } from './namespace.ts'
import { startApiServer, type ApiServer } from './start-api-server.ts'
import { startTamperingProxy, type TamperingProxy } from './tampering-proxy.ts'

/** Makes a namespace of the test's own on the run's API server, in some 0.2 s. */
export const createNamespace = (): Promise<TestNamespace> => {
  const { kubeconfig, folder } = inject('apiServer')
  return makeNamespace({ kubectl: inject('helmTools').kubectl, kubeconfig, folder })
}

/** Starts a proxy in front of the API server that a kubeconfig leads to. */
export const tamperWith = (kubeconfig: string): Promise<TamperingProxy> => {
  const { openssl, folder } = inject('apiServer')
  return startTamperingProxy({ kubeconfig, openssl, folder })
}

/** An API server that a test may kill, with namespaces of its own. */
export type OwnApiServer = Omit<ApiServer, 'stop'> & {
  createNamespace: () => Promise<TestNamespace>
  /** Ends it and removes what it had; once more it changes nothing. */
  drop: () => Promise<void>
}

/** Whether tests may start API servers: not where one was given, since that one is to be used. */
export const startsApiServers = (): boolean => inject('apiServer').programs !== null

/** Starts an API server of the test's own, in some seconds. */
export const startOwnApiServer = async (): Promise<OwnApiServer> => {
  const { programs } = inject('apiServer')
  if (programs === null) throw new Error('with ESTEIRA_TEST_KUBECONFIG no API server is started')
  const run = await openRunFolder()
  try {
    const { stop, ...server } = await startApiServer(programs, run)
    let dropped: Promise<void> | undefined
    const { kubectl } = inject('helmTools')
    return {
      ...server,
      createNamespace: () => makeNamespace({ kubectl, kubeconfig: server.kubeconfig, folder: run.path }),
      drop: () => (dropped ??= stop().then(run.release)),
    }
  } catch (error) {
    await run.release()
    throw error
  }
}
