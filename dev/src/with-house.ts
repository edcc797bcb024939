import { join } from 'node:path'
import type { Environment } from './environment.ts'
import { adminTokenOf } from './house/admin-token.ts'
import { type HeldPort, holdFirstFreePort, holdPort } from './house/ports.ts'
import { type House, startHouse } from './house/start-house.ts'
import type { Options } from './options.ts'
import { watchServices } from './services.ts'
import { startStack } from './stack/index.ts'
import type { Screen } from './view/screen.ts'
import type { ServiceLine } from './view/snapshot.ts'

/** What `npm start` was asked for and given, and where it speaks; `signal` ends it. */
export type Start = {
  options: Options
  environment: Environment
  env: NodeJS.ProcessEnv
  dataDir: string
  screen: Screen
  signal: AbortSignal
}

/** A house with all that people see of it; `introduction` tells them where its parts are and how to look in. */
export type ShownHouse = { house: House; services: () => readonly ServiceLine[]; introduction: readonly string[] }

/** Brings up the services and a house on them, and stops both in order once the work has ended, well or not. */
export const withHouse = async <T>(start: Start, work: (shown: ShownHouse) => Promise<T>): Promise<T> => {
  const { options, environment, env, dataDir, screen, signal } = start
  const services = watchServices(screen.say)
  const port = await choosePort(options.port)
  if (options.fresh && environment.databaseUrl !== null) screen.say('--fresh leaves what DATABASE_URL holds as it is')
  const stack = await startStack({
    dataDir,
    env,
    databaseUrl: environment.databaseUrl ?? undefined,
    rabbitmqUrl: environment.rabbitmqUrl ?? undefined,
    fresh: options.fresh,
    observe: services.onStack,
    signal,
  })
  try {
    if (options.port === null && port.port !== usualPort) {
      screen.say(`port ${usualPort} of 127.0.0.1 is taken, the control plane uses ${port.port}`)
    }
    const house = await startHouse({
      stack,
      adminToken: environment.adminToken ?? adminTokenOf(dataDir),
      port,
      leads: options.leads ?? usualLeads,
      rdStation: environment.rdStation,
      rateLimit: environment.rateLimit,
      connections: environment.connections,
      secrets: environment.secrets,
      cron: options.once && !options.keep ? 'off' : 'local',
      logLevel: environment.logLevel,
      env,
      observe: services.onProcess,
      signal,
    })
    services.place('control-plane', house.url)
    if (environment.rdStation === null) services.place('rd-station stand-in', house.settings.rdStation.baseUrl)
    try {
      return await work({ house, services: services.all, introduction: introduce(house, join(dataDir, 'logs')) })
    } finally {
      await house.stop()
    }
  } finally {
    await stack.stop()
  }
}

const usualPort = 8080

const usualLeads = 50

const choosePort = async (asked: number | null): Promise<HeldPort> => {
  if (asked === null) return holdFirstFreePort(usualPort)
  const held = await holdPort(asked)
  if (held === null) throw new Error(`port ${asked} of 127.0.0.1 is taken; --port takes another`)
  return held
}

const introduce = ({ url, settings }: House, logs: string): string[] => [
  '',
  `API        ${url}/v1   (described at ${url}/openapi.json)`,
  `token      export ESTEIRA_ADMIN_TOKEN=${settings.adminToken}`,
  `try        curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" ${url}/v1/workflows`,
  `the leads  psql '${settings.crmUrl}' -c 'select * from leads limit 5'`,
  `the jobs   psql '${settings.databaseUrl}' -c 'select status, count(*) from workflow_job group by 1'`,
  `RD Station ${settings.rdStation.baseUrl}`,
  `logs       ${logs}`,
  '',
]
