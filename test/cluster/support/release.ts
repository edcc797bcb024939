import { defaultCredentials } from '@esteira/dev/rd-station'
import { createHouseApi, type HouseApi } from '@esteira/test/support'
import { helm, type Said, withRelease } from '../../charts/support/helm.ts'
import type { TestNamespace } from '../api/namespace.ts'
import { createNamespace } from '../api/use-api-server.ts'
import { reachApi } from './api-address.ts'
import { bringImages, imageValues } from './images.ts'
import { describePods } from './objects.ts'
import { startReachable, type Reachable, type ReachableOptions } from './reachable.ts'
import { pauseMs } from './wait-in-cluster.ts'

/** The chart `esteira`, installed as its documents say, in a namespace of its own. */
export type TestRelease = {
  namespace: TestNamespace
  /** Reached by the address of its Service, or through the API server where that is on another machine. */
  api: HouseApi
  services: Reachable
  /** From `helm install` until all was ready. */
  seconds: number
  /** `helm upgrade` to this tree with values that go before those that it has anyway, until all is ready. */
  upgrade: (values: object) => Promise<void>
  /** The same, without waiting for anything to be ready. */
  beginUpgrade: (values: object) => Promise<void>
  /** `helm rollback` to a revision, until all is ready. */
  rollback: (revision: number) => Promise<void>
  /** `helm uninstall`, until what Helm made is gone. */
  uninstall: () => Promise<void>
  /** `helm install` once more, on what the one before has left; its API has another address. */
  reinstall: () => Promise<TestRelease>
  /**
   * Removes the namespace, and what the release needed once its pods have ended.
   *
   * @throws for what was lost, doubled or miscounted.
   */
  remove: () => Promise<void>
}

type ReleaseOptions = ReachableOptions & {
  /** `esteira` unless given. */
  name?: string
  /** These go before those that it has anyway, member by member of the top. */
  values?: object
  /** What `helm install` installs in place of this tree, which `upgrade` brings then; its images are on the node. */
  first?: { chart: string; tag: string }
}

const adminToken = 'a-token-of-the-tests-that-is-long-enough'

/**
 * Installs a release of this tree over empty databases, by somebody who has rights in one namespace alone,
 * and waits until all of it is ready.
 *
 * @throws with what the pods say, when that takes more than four minutes.
 */
export const installRelease = async ({
  name = 'esteira',
  values = {},
  first,
  ...options
}: ReleaseOptions): Promise<TestRelease> => {
  await bringImages()
  const services = await startReachable(options)
  const namespace = await createNamespace()
  const stops: (() => Promise<void>)[] = []
  const remove = async () => {
    await Promise.all(stops.map((stop) => stop()))
    // A test that has failed may have left one cut, for which pods would wait at their end.
    for (const way of Object.values(services.ways)) way.resume()
    await namespace.drop()
    await namespace.kubectl(['wait', '--for', 'delete', `namespace/${namespace.name}`, '--timeout', '120s'])
    await services.drop()
  }
  try {
    await namespace.kubectl(['create', '--filename', '-'], secretsFor(services.ways))
    const installer = await namespace.serviceAccount('installer', [
      { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    ])
    const access = ['--kubeconfig', installer]
    const patience = [...access, '--wait', '--timeout', '4m']
    const succeed = async (said: Said): Promise<void> => {
      if (!said.ok) throw new Error(`${said.words}\n${await describePods(namespace)}`)
    }
    const withValues = async (command: string[], more: object, chart?: string): Promise<void> =>
      succeed(
        await withRelease(command, {
          ...(chart !== undefined && { chart }),
          name,
          namespace: namespace.name,
          values: { ...valuesFor(services.ways), ...values, ...more },
        }),
      )
    const without = async (command: string, ...words: string[]): Promise<void> =>
      succeed(await helm([command, name, ...words, '--namespace', namespace.name, ...patience]))
    const install = async (): Promise<TestRelease> => {
      const startedMs = performance.now()
      if (first === undefined) await withValues(['install', ...patience], {})
      else await withValues(['install', ...patience], { image: { ...imageValues(), tag: first.tag } }, first.chart)
      const seconds = (performance.now() - startedMs) / 1000
      const { url, stop } = await reachApi(namespace)
      stops.push(stop)
      return {
        namespace,
        api: createHouseApi(url, adminToken, { pauseMs }),
        services,
        seconds,
        upgrade: (more) => withValues(['upgrade', ...patience], more),
        beginUpgrade: (more) => withValues(['upgrade', ...access], more),
        rollback: (revision) => without('rollback', String(revision)),
        uninstall: () => without('uninstall'),
        reinstall: install,
        remove,
      }
    }
    return await install()
  } catch (error) {
    // What went wrong is told, and not what followed from it.
    await remove().catch(() => undefined)
    throw error
  }
}

const secretsFor = ({ database, rabbitmq, management, crm }: Reachable['ways']): object => {
  const secret = (name: string, stringData: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    stringData,
  })
  const { clientId, clientSecret, refreshToken } = defaultCredentials
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      secret('esteira-database', { uri: database.url }),
      secret('esteira-rabbitmq', { uri: rabbitmq.url }),
      secret('esteira-rabbitmq-management', { uri: management.url }),
      secret('esteira-admin', { token: adminToken }),
      secret('crm-database', { uri: crm.url }),
      secret('rd-station', {
        'client-id': clientId,
        'client-secret': clientSecret,
        'refresh-token': refreshToken,
      }),
    ],
  }
}

/** Those of docs/kubernetes.md, with the images of the tests and another RD Station. */
const valuesFor = ({ rdStation }: Reachable['ways']) => ({
  image: imageValues(),
  database: { secret: { name: 'esteira-database' } },
  rabbitmq: { secret: { name: 'esteira-rabbitmq' } },
  adminToken: { secret: { name: 'esteira-admin' } },
  workers: {
    'database-query': { connections: { crm: { name: 'crm-database', key: 'uri' } } },
    'rd-station-get-leads': {
      env: { RDSTATION_BASE_URL: rdStation.url, RDSTATION_RATE_LIMIT: '0' },
      secretEnv: {
        RDSTATION_CLIENT_ID: { name: 'rd-station', key: 'client-id' },
        RDSTATION_CLIENT_SECRET: { name: 'rd-station', key: 'client-secret' },
        RDSTATION_REFRESH_TOKEN: { name: 'rd-station', key: 'refresh-token' },
      },
    },
  },
})
