import { resolve } from 'node:path'
import { findWorkers } from './find-workers.ts'

const root = resolve(import.meta.dirname, '../../..')

/** A person waits at Ctrl-C. What does not end in this time is done again at the next start, as after a crash. */
const graceMs = 4_000

const cronJobScript = resolve(root, 'workers/cron-job/src/main.ts')

/** Where the parts of a house find each other, and what they share. Addresses have user and password. */
export type HouseSettings = {
  databaseUrl: string
  rabbitmqUrl: string
  /** The database that steps know as the connection `crm`. */
  crmUrl: string
  /** More connections for steps, as `ESTEIRA_CONNECTION_<NAME>` variables. */
  connections: Record<string, string>
  /** Secrets for steps, as `ESTEIRA_SECRET_<NAME>` variables, and the folder with others. */
  secrets: Record<string, string>
  rdStation: RdStationAccount
  /** Requests a minute that it allows, 0 for no limit. */
  rateLimit: number
  adminToken: string
  /** The control plane's port on 127.0.0.1; 0 lets the system choose. */
  port: number
  /** Whether the control plane fires the ticks of CronJob steps. */
  cron: 'local' | 'off'
  logLevel: 'debug' | 'info'
}

/** An account of RD Station and where its API is. */
export type RdStationAccount = { baseUrl: string; clientId: string; clientSecret: string; refreshToken: string }

/** One process of a house: its name, what it runs, and its whole environment. */
export type Program = { name: string; script: string; env: Record<string, string> }

/** Every long-lived process of Esteira on one machine, by what it is to the others. */
export type Programs = {
  /** Migrates the database, which nobody can do without. */
  controlPlane: Program
  workers: Program[]
  /** One beside the control plane, one beside the ticks that it starts, and one beside each worker. */
  relays: Program[]
}

export const programs = (house: HouseSettings): Programs => {
  const workers = findWorkers(resolve(root, 'workers'))
  const common = {
    DATABASE_URL: house.databaseUrl,
    ESTEIRA_LOG_LEVEL: house.logLevel,
    ESTEIRA_GRACE_MS: String(graceMs),
  }
  const relay = (lane: string): Program => ({
    name: `relay of ${lane}`,
    script: resolve(root, 'sidecar/src/main.ts'),
    env: { ...common, RABBITMQ_URL: house.rabbitmqUrl, ESTEIRA_LANE: lane },
  })
  /** What only one worker needs; any other has what all have, and the secrets. */
  const own: Record<string, Record<string, string>> = {
    'rd-station-get-leads': {
      RDSTATION_BASE_URL: house.rdStation.baseUrl,
      RDSTATION_CLIENT_ID: house.rdStation.clientId,
      RDSTATION_CLIENT_SECRET: house.rdStation.clientSecret,
      RDSTATION_REFRESH_TOKEN: house.rdStation.refreshToken,
      RDSTATION_RATE_LIMIT: String(house.rateLimit),
    },
    'database-query': { ...house.connections, ESTEIRA_CONNECTION_CRM: house.crmUrl },
  }
  const worker = (lane: string): Program => ({
    name: lane,
    script: resolve(root, 'workers', lane, 'src/main.ts'),
    env: { ...common, RABBITMQ_URL: house.rabbitmqUrl, ESTEIRA_LANE: lane, ...house.secrets, ...own[lane] },
  })
  return {
    controlPlane: {
      name: 'control-plane',
      script: resolve(root, 'control-plane/src/main.ts'),
      env: {
        ...common,
        ESTEIRA_LANE: 'control-plane',
        ESTEIRA_HTTP_PORT: String(house.port),
        ESTEIRA_ADMIN_TOKEN: house.adminToken,
        ESTEIRA_CRON: house.cron,
        ESTEIRA_CRON_PROGRAM: cronJobScript,
        ESTEIRA_CRON_LANE: 'cron-job',
      },
    },
    workers: workers.map(worker),
    relays: ['control-plane', 'cron-job', ...workers].map(relay),
  }
}

/** The RD Station stand-in as a process. */
export const rdStationProgram = (standIn: { port: number; leads: number; rateLimit: number }): Program => ({
  name: 'rd-station stand-in',
  script: resolve(root, 'dev/src/rd-station/main.ts'),
  env: {
    RDSTATION_PORT: String(standIn.port),
    RDSTATION_LEADS: String(standIn.leads),
    RDSTATION_RATE_LIMIT: String(standIn.rateLimit),
  },
})

export const tickProgramName = 'cron-job'

/** One tick of a CronJob step: the program that the scheduler starts as well. */
export const tickProgram = (house: HouseSettings, stepId: string, key: string): Program => ({
  name: tickProgramName,
  script: cronJobScript,
  env: {
    DATABASE_URL: house.databaseUrl,
    ESTEIRA_LOG_LEVEL: house.logLevel,
    ESTEIRA_LANE: 'cron-job',
    ESTEIRA_STEP_ID: stepId,
    ESTEIRA_TICK_KEY: key,
  },
})
