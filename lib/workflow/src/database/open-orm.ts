import { MikroORM } from '@mikro-orm/postgresql'
import { WorkflowFunction } from '../model/workflow-function.ts'
import { WorkflowJob } from '../model/workflow-job.ts'
import { WorkflowRunStep } from '../model/workflow-run-step.ts'
import { WorkflowRun } from '../model/workflow-run.ts'
import { WorkflowStep } from '../model/workflow-step.ts'
import { Workflow } from '../model/workflow.ts'
import { freeLostClients } from './free-lost-clients.ts'

export const entities = [Workflow, WorkflowStep, WorkflowFunction, WorkflowRun, WorkflowRunStep, WorkflowJob]

/** Opens MikroORM on the database of workflows. Nothing is sent until the first query. */
export const openOrm = (options: { databaseUrl: string; poolSize: number; applicationName: string }): MikroORM =>
  new MikroORM({
    clientUrl: options.databaseUrl,
    entities,
    // A misspelt name must not become a database.
    ensureDatabase: false,
    pool: { min: 0, max: options.poolSize },
    driverOptions: { application_name: options.applicationName, onPoolCreated: freeLostClients },
  })
