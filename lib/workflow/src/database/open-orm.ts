import { freeLostClients } from '@esteira/outbox/internal/free-lost-clients'
import { type EntitySchema, MikroORM } from '@mikro-orm/postgresql'
import { WorkflowAttempt } from '../model/workflow-attempt.ts'
import { WorkflowFunction } from '../model/workflow-function.ts'
import { WorkflowJob } from '../model/workflow-job.ts'
import { WorkflowRunStep } from '../model/workflow-run-step.ts'
import { WorkflowRun } from '../model/workflow-run.ts'
import { WorkflowStep } from '../model/workflow-step.ts'
import { Workflow } from '../model/workflow.ts'
import { leaseSessions } from './lease-sessions.ts'
import { leaveStandbys } from './leave-standbys.ts'
import { patientSocket } from './patient-socket.ts'

export const entities = [
  Workflow,
  WorkflowStep,
  WorkflowFunction,
  WorkflowRun,
  WorkflowRunStep,
  WorkflowJob,
  WorkflowAttempt,
]

type OrmOptions = {
  databaseUrl: string
  /** Those of workflows unless given. */
  known?: readonly EntitySchema[]
  poolSize: number
  applicationName: string
  /** Once aborted, every session is broken, so that a server that does not answer holds nothing up. */
  severed?: AbortSignal
  /** How long a statement may take before its session is given up, in milliseconds. */
  silenceMs?: number
}

/** Far above what the longest statement on these tables takes, one that waits for another's lock included. */
const mostSilenceMs = 60_000

/**
 * What a database may have set otherwise for its sessions. A compare-and-set looks again at a row that another has just
 * changed: under another isolation Postgres refuses that row, and jobs of one run hardly get on. And MikroORM reads times
 * that are written as ISO has them. A pooler may drop it: `expectSettings` looks.
 */
export const sessionOptions = String.raw`-c default_transaction_isolation=read\ committed -c datestyle=iso`

/** For a connection as well as for a free place in the pool. */
const connectTimeoutMs = 10_000

/** Opens MikroORM on the database of workflows. Nothing is sent until the first query. */
export const openOrm = ({
  databaseUrl,
  known = entities,
  poolSize,
  applicationName,
  severed,
  silenceMs = mostSilenceMs,
}: OrmOptions): MikroORM =>
  new MikroORM({
    clientUrl: databaseUrl,
    entities: [...known],
    discovery: { warnWhenNoEntities: false },
    // A misspelt name must not become a database.
    ensureDatabase: false,
    pool: { min: 0, max: poolSize },
    driverOptions: {
      // MikroORM takes no more than the place from an address: TLS and other settings in it are read by pg.
      connectionString: databaseUrl,
      application_name: applicationName,
      // With the start of a session, so that `reset all` comes back to it.
      options: sessionOptions,
      connectionTimeoutMillis: connectTimeoutMs,
      stream: () => patientSocket(silenceMs, severed),
      onPoolCreated: (pool: Parameters<typeof freeLostClients>[0]) => {
        freeLostClients(pool)
        leaveStandbys(pool)
        leaseSessions(pool)
      },
    },
  })
