import { readFileSync } from 'node:fs'
import { leadsWorkflow } from '@esteira/dev/house'
import { expect } from 'vitest'
import { z } from 'zod'
import type { TestRelease } from './release.ts'

const step = z.looseObject({ config: z.looseObject({}) })

/** A workflow as the API takes it, whose first step is its CronJob. */
const document = z.looseObject({ name: z.string(), steps: z.tuple([step], step) })

/** The workflow of the documents, which takes two segmentations, every minute and not once a day as it stands there. */
export const documentedLeads = (): z.infer<typeof document> => {
  const text = readFileSync(new URL('../../../docs/examples/leads.json', import.meta.url), 'utf8')
  const { steps, ...workflow } = document.parse(JSON.parse(text))
  const [cronJob, ...others] = steps
  const everyMinute = { ...cronJob, config: { ...cronJob.config, schedule: '* * * * *' } }
  return { ...workflow, steps: [everyMinute, ...others] }
}

/**
 * The table of that workflow. Its statement passes over a lead that is there already, so each row that it tries to
 * write is in `written` as well: a lead that is written twice is there twice.
 */
export const documentedTable = `
  create table leads (uuid uuid primary key, name text, email text);
  create table written (uuid uuid);
  create function note() returns trigger language plpgsql as $$
    begin
      insert into written values (new.uuid);
      return new;
    end
  $$;
  create trigger note before insert on leads for each row execute function note()`

const [tick, getLeads, saveLead] = leadsWorkflow.steps

/**
 * The example's steps, one segmentation, with an insert that forgives nothing and takes `rowMs`. It ticks at no time
 * that a test sees.
 */
export const strictLeads = (name: string, rowMs: number) => {
  const steps = [
    { ...tick, config: { ...tick.config, schedule: '0 0 1 1 *' } },
    getLeads,
    {
      ...saveLead,
      config: {
        connection: 'crm',
        sql: `insert into lead select $1, $2 from pg_sleep(${rowMs / 1000})`,
        params: ['{{ run.id }}', '{{ payload.uuid }}'],
      },
    },
  ] as const
  return { name, steps }
}

export const strictTable = 'create table lead (run text, uuid text)'

/** How many leads of a run are written. */
export const written = async ({ services }: TestRelease, runId: string): Promise<number> => {
  const rows = await services.crm(`select count(*)::int as written from lead where run = '${runId}'`)
  return z.tuple([z.object({ written: z.int() })]).parse(rows)[0].written
}

/** Waits for a run to be over; it has succeeded, and written each of its leads once. */
export const expectEveryLeadOnce = async (release: TestRelease, runId: string, leads: number): Promise<void> => {
  expect(await release.api.runOver(runId, 120_000)).toMatchObject({
    status: 'succeeded',
    steps: [{ succeeded: 1 }, { succeeded: 1 }, { succeeded: leads }],
  })
  expect(
    await release.services.crm(
      `select count(*)::int as rows, count(distinct uuid)::int as leads from lead where run = '${runId}'`,
    ),
  ).toEqual([{ rows: leads, leads }])
  await release.services.allPublished()
}
