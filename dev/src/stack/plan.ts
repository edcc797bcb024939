import { StackError } from './errors.ts'
import type { StackState } from './folder/state.ts'
import type { RabbitmqServer } from './rabbitmq/find-server.ts'
import type { ServiceName } from './service.ts'

/** What this machine has to run the services with. */
export type Machine = {
  docker: boolean
  postgresPrograms: string | undefined
  rabbitmqServer: RabbitmqServer | undefined
  /** RabbitMQ can be installed by apt without asking anybody. */
  canInstall: boolean
}

export type PostgresPlan =
  | { source: 'given'; url: string }
  | { source: 'docker' }
  | { source: 'native'; programs: string }

/** A native plan without a server means that it is installed first. */
export type RabbitmqPlan =
  | { source: 'given'; url: string }
  | { source: 'docker' }
  | { source: 'native'; server: RabbitmqServer | undefined }

type Before = StackState['sources']

/**
 * Chooses where each service comes from: a given address, else where its data is from before, else Docker, else this
 * machine.
 *
 * @throws StackError `nothing_to_run` that says what to install, when one of them cannot be had.
 */
export const planStack = (
  given: { databaseUrl?: string | undefined; rabbitmqUrl?: string | undefined },
  before: Before,
  machine: Machine,
): { postgres: PostgresPlan; rabbitmq: RabbitmqPlan } => {
  const postgres = choosePostgres(given.databaseUrl, before.postgres, machine)
  const rabbitmq = chooseRabbitmq(given.rabbitmqUrl, before.rabbitmq, machine)
  if (postgres !== undefined && rabbitmq !== undefined) return { postgres, rabbitmq }
  throw cannotRun([...(postgres ? [] : ['postgres' as const]), ...(rabbitmq ? [] : ['rabbitmq' as const])])
}

/** As `planStack`, for Postgres alone. */
export const planPostgres = (url: string | undefined, before: Before, machine: Machine): PostgresPlan => {
  const plan = choosePostgres(url, before.postgres, machine)
  if (plan === undefined) throw cannotRun(['postgres'])
  return plan
}

const choosePostgres = (
  url: string | undefined,
  before: Before['postgres'],
  { docker, postgresPrograms }: Machine,
): PostgresPlan | undefined => {
  if (url !== undefined) return { source: 'given', url }
  const native: PostgresPlan | undefined =
    postgresPrograms === undefined ? undefined : { source: 'native', programs: postgresPrograms }
  return preferred<PostgresPlan>(before, docker ? { source: 'docker' } : undefined, native)
}

const chooseRabbitmq = (
  url: string | undefined,
  before: Before['rabbitmq'],
  { docker, rabbitmqServer, canInstall }: Machine,
): RabbitmqPlan | undefined => {
  if (url !== undefined) return { source: 'given', url }
  const native: RabbitmqPlan | undefined =
    rabbitmqServer === undefined && !canInstall ? undefined : { source: 'native', server: rabbitmqServer }
  return preferred<RabbitmqPlan>(before, docker ? { source: 'docker' } : undefined, native)
}

/** An engine that was started since the first start must not hide the data that is there. */
const preferred = <Plan>(
  before: 'docker' | 'native' | undefined,
  docker: Plan | undefined,
  native: Plan | undefined,
): Plan | undefined => (before === 'native' ? (native ?? docker) : (docker ?? native))

const cannotRun = (missing: ServiceName[]): StackError =>
  new StackError(
    'nothing_to_run',
    [
      `There is nothing on this machine to run ${missing.map((name) => productNames[name]).join(' and ')} with. One of these is enough:`,
      '- Docker: start an engine (Docker Desktop, colima, dockerd); both services then run in containers',
      `- Debian, Ubuntu: ${missing.map((name) => debian[name]).join('; ')}`,
      `- macOS: ${missing.map((name) => homebrew[name]).join('; ')}`,
      `- a server that runs already: set ${missing.map((name) => addresses[name]).join(' and ')}`,
    ].join('\n'),
  )

const productNames: Record<ServiceName, string> = { postgres: 'Postgres', rabbitmq: 'RabbitMQ' }
const debian: Record<ServiceName, string> = {
  postgres: 'npm ci (with optional packages; they hold Postgres for x64 and arm64)',
  rabbitmq: 'sudo apt-get update && sudo apt-get install rabbitmq-server',
}
const homebrew: Record<ServiceName, string> = {
  postgres: 'npm ci (with optional packages)',
  rabbitmq: 'brew install rabbitmq',
}
const addresses: Record<ServiceName, string> = {
  postgres: 'DATABASE_URL=postgres://user:password@host:5432/postgres',
  rabbitmq: 'RABBITMQ_URL=amqp://user:password@host:5672',
}
