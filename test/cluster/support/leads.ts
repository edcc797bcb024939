import { readFileSync } from 'node:fs'
import { z } from 'zod'

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
