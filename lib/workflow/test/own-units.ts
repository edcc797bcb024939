import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { afterEach, beforeAll } from 'vitest'
import * as z from 'zod'
import { defineFunction, type FunctionContext, type InOwnUnit } from '../src/index.ts'
import type { Engine, StepDraft } from './engine.ts'
import { useEngine } from './use-engine.ts'

/** A function that is given the entity manager of its job's own unit of work. */
export const ownFunction = (name: string, run: (context: FunctionContext<object, unknown> & InOwnUnit) => unknown) =>
  defineFunction({ name, config: z.looseObject({}), unit: 'own', run })

/** A row of its own that such a function writes. */
export const note = (em: EntityManager, job: string, text: string) =>
  queryable(em).query('insert into note values ($1, $2)', [job, text])

/** An engine for the tests of a file, with the tables that the functions write to, and what they look at. */
export const useOwnUnits = (give: (engine: Engine) => void) => {
  let engine: Engine
  useEngine((opened) => {
    engine = opened
    give(opened)
  })
  beforeAll(() =>
    engine.query(`
      create table lead (id uuid primary key, email text not null unique);
      create table note (job uuid not null, text text not null unique deferrable initially deferred)`),
  )
  afterEach(() => engine.query('truncate lead, note'))

  return {
    notes: async () =>
      z.array(z.object({ text: z.string() })).parse(await engine.query('select text from note order by text')),

    begin: async (functionName: string, payload: unknown = null, step: Partial<StepDraft> = {}) =>
      engine.begin(await engine.saveWorkflow({ functionName, outputType: 'single', ...step }), payload),

    jobOf: async (run: string) => {
      const [job] = await engine.jobs(run)
      if (job === undefined) throw new Error('the run has no job')
      return job
    },

    leadsWorkflow: (functionName = 'Leads.save') =>
      engine.saveWorkflow(
        { functionName: 'CronJob', outputType: 'multiple' },
        { functionName, outputType: 'single' },
        { functionName: 'next', outputType: null },
      ),

    /** How many sessions of the worker the condition is true of. */
    sessions: async (condition: string): Promise<number> => {
      const rows = await engine.query(
        `select count(*)::int as count from pg_stat_activity
         where datname = current_database() and application_name = 'worker' and ${condition}`,
      )
      return z.tuple([z.object({ count: z.int() })]).parse(rows)[0].count
    },
  }
}
