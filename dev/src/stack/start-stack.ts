import { canInstallPackages } from '../apt/install-packages.ts'
import type { Registry } from '../processes/registry.ts'
import { engineAnswers } from './docker/engine.ts'
import { StackError } from './errors.ts'
import { emptyDataFolder, openDataFolder, type DataFolder } from './folder/data-folder.ts'
import { useGivenPostgres, useGivenRabbitmq } from './given.ts'
import { planPostgres, planStack, type PostgresPlan, type RabbitmqPlan } from './plan.ts'
import { startNativePostgres } from './postgres/native.ts'
import { findPostgresPrograms } from './postgres/programs.ts'
import { findRabbitmqServer } from './rabbitmq/find-server.ts'
import { installRabbitmq } from './rabbitmq/install.ts'
import { startNativeRabbitmq } from './rabbitmq/native.ts'
import type { Observe, RabbitmqService, Service } from './service.ts'

export type StackOptions = {
  /** The folder that holds all data, logs and ports: `<repo>/.esteira`. */
  dataDir: string
  /** The environment of the calling process: its PATH is searched, and Docker's variables are read. */
  env: NodeJS.ProcessEnv
  /** A Postgres to use as it is, with the right to create databases. */
  databaseUrl?: string | undefined
  /** A RabbitMQ to use as it is. */
  rabbitmqUrl?: string | undefined
  /** Its management API, when that is not on the usual port 15672 of the same host. */
  rabbitmqManagementUrl?: string | undefined
  /** Begin with empty data. */
  fresh?: boolean
  /** More of Postgres' settings, `name=value`; a given server keeps its own. */
  postgresSettings?: readonly string[]
  /** More of RabbitMQ's settings, by their names in its application `rabbit`; only where it is a process of this machine. */
  rabbitmqSettings?: Readonly<Record<string, number>>
  /** Postgres' programs to run in place of those of the npm package. */
  postgresPrograms?: string
  observe?: Observe
  /** Ends a start that is still on its way. */
  signal?: AbortSignal
}

/** Postgres alone, up and kept up. */
export type PostgresStack = {
  /** Its `url` is the server's: `ensureDatabase` makes a database there. */
  postgres: Service
  dataDir: string
  /** Where `startProcess` records programs, so that the next start in this folder finds those that were left. */
  registry: Registry
  logFile: (name: string) => string
  /** Stops the services in order and gives the folder back. May be called more than once. */
  stop: () => Promise<void>
}

/** Postgres and RabbitMQ, up and kept up. */
export type Stack = PostgresStack & { rabbitmq: RabbitmqService }

/**
 * Brings up Postgres and RabbitMQ: each from the address that was given, else in a container if a Docker engine answers,
 * else as a process of this machine. Data and ports of an earlier start are found again, and what that start left
 * running is stopped first.
 *
 * @throws StackError with a message to show as it is, or the signal's reason.
 */
export const startStack = (options: StackOptions): Promise<Stack> =>
  withDataFolder(options, async (folder, start) => {
    const rabbitmqServer = findRabbitmqServer(pathOf(options.env))
    const machine = { ...(await lookAtMachine(options)), rabbitmqServer, canInstall: canInstallPackages() }
    const plan = planStack(options, folder.state().sources, machine)
    rememberSources(folder, plan)
    const failed = new AbortController()
    const both = { ...start, signal: AbortSignal.any([start.signal, failed.signal]) }
    const starting = [startPostgres(plan.postgres, both), startRabbitmq(plan.rabbitmq, both)] as const
    for (const one of starting) one.catch((error: unknown) => failed.abort(error))
    const [postgres, rabbitmq] = await Promise.allSettled(starting)
    if (postgres.status === 'fulfilled' && rabbitmq.status === 'fulfilled') {
      return {
        parts: { postgres: postgres.value, rabbitmq: rabbitmq.value },
        stop: async () => {
          await rabbitmq.value.stop()
          await postgres.value.stop()
        },
      }
    }
    for (const one of [postgres, rabbitmq]) if (one.status === 'fulfilled') await one.value.stop()
    throw failed.signal.reason
  })

/** Brings up Postgres alone, as `startStack` does. */
export const startPostgresAlone = (options: Omit<StackOptions, 'rabbitmqUrl'>): Promise<PostgresStack> =>
  withDataFolder(options, async (folder, start) => {
    const machine = { ...(await lookAtMachine(options)), rabbitmqServer: undefined, canInstall: false }
    const plan = planPostgres(options.databaseUrl, folder.state().sources, machine)
    rememberSources(folder, { postgres: plan })
    const postgres = await startPostgres(plan, start)
    return { parts: { postgres }, stop: postgres.stop }
  })

type Start = { options: StackOptions; folder: DataFolder; observe: Observe; signal: AbortSignal }

/** Holds the data folder while the services run; it is given back when they are stopped or did not come up. */
const withDataFolder = async <Parts>(
  options: StackOptions,
  startServices: (folder: DataFolder, start: Start) => Promise<{ parts: Parts; stop: () => Promise<void> }>,
): Promise<Parts & Omit<PostgresStack, 'postgres'>> => {
  const { observe = () => undefined, signal = new AbortController().signal } = options
  const folder = await openDataFolder(options.dataDir, observe)
  try {
    if (options.fresh === true) await emptyAll(folder, observe)
    const { parts, stop } = await startServices(folder, { options, folder, observe, signal })
    const stopAll = async () => {
      try {
        await stop()
      } finally {
        folder.release()
      }
    }
    let stopping: Promise<void> | undefined
    return {
      ...parts,
      dataDir: folder.path,
      registry: folder.registry,
      logFile: folder.logFile,
      stop: () => (stopping ??= stopAll()),
    }
  } catch (error) {
    folder.release()
    throw error
  }
}

const emptyAll = async (folder: DataFolder, observe: Observe): Promise<void> => {
  const { postgres, rabbitmq } = folder.state().sources
  if (postgres === 'docker' || rabbitmq === 'docker') {
    const { removeVolume } = await import('./docker/container.ts')
    for (const service of ['postgres', 'rabbitmq'] as const) await removeVolume(folder, service, observe)
  }
  emptyDataFolder(folder)
}

const pathOf = (env: NodeJS.ProcessEnv): string => env['PATH'] ?? '/usr/bin:/bin'

const lookAtMachine = async ({ env, databaseUrl, rabbitmqUrl, postgresPrograms }: StackOptions) => ({
  docker: databaseUrl !== undefined && rabbitmqUrl !== undefined ? false : await engineAnswers(env),
  postgresPrograms: postgresPrograms ?? findPostgresPrograms(),
})

const rememberSources = (folder: DataFolder, plan: { postgres: PostgresPlan; rabbitmq?: RabbitmqPlan }): void => {
  const sources = { ...folder.state().sources }
  if (plan.postgres.source !== 'given') sources.postgres = plan.postgres.source
  if (plan.rabbitmq !== undefined && plan.rabbitmq.source !== 'given') sources.rabbitmq = plan.rabbitmq.source
  folder.remember({ sources })
}

const startPostgres = async (plan: PostgresPlan, start: Start): Promise<Service> => {
  const settings = start.options.postgresSettings ?? []
  switch (plan.source) {
    case 'given':
      return useGivenPostgres(plan.url, start.observe, start.signal)
    case 'docker': {
      // Loaded only where it is used: it is large.
      const { startPostgresContainer } = await import('./docker/services.ts')
      return startPostgresContainer({ ...start, settings })
    }
    case 'native':
      return startNativePostgres({ ...start, programs: plan.programs, settings })
  }
}

const startRabbitmq = async (plan: RabbitmqPlan, start: Start): Promise<RabbitmqService> => {
  switch (plan.source) {
    case 'given':
      return useGivenRabbitmq(plan.url, start.options.rabbitmqManagementUrl, start.observe, start.signal)
    case 'docker': {
      const { startRabbitmqContainer } = await import('./docker/services.ts')
      return startRabbitmqContainer(start)
    }
    case 'native':
      return startNativeRabbitmq({
        ...start,
        server: plan.server ?? (await installedNow(start)),
        settings: start.options.rabbitmqSettings ?? {},
      })
  }
}

const installedNow = async ({ options, folder, observe, signal }: Start) => {
  const path = pathOf(options.env)
  await installRabbitmq({ path, logFile: folder.logFile('apt'), observe, signal })
  const server = findRabbitmqServer(path)
  if (server === undefined) throw new StackError('install_failed', 'rabbitmq-server was installed but cannot be found')
  return server
}
