import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { WorkflowError } from '../errors.ts'

/**
 * Refuses a database on which sessions do not have what `openOrm` opens them with, and which has it otherwise by itself: a
 * pooler that is told to ignore what it does not know drops that, and an address with options of its own replaces it. Jobs
 * of one run would be refused by each other, and times could not be read.
 *
 * @throws WorkflowError `database_settings`, which passes when the database, its role or the address is set right.
 */
export const expectSettings = async (em: EntityManager): Promise<void> => {
  const { rows } = await queryable(em).query(settingsSql, [])
  const [{ isolation, dateStyle }] = settingsRows.parse(rows)
  const wrong = [
    ...(isolation === 'read committed'
      ? []
      : [`default_transaction_isolation is "${isolation}", not "read committed"`]),
    ...(dateStyle.startsWith('ISO') ? [] : [`datestyle is "${dateStyle}", not "ISO"`]),
  ]
  if (wrong.length === 0) return
  throw new WorkflowError('database_settings', `${wrong.join('; ')}: ${whatHelps}`, { final: false })
}

const whatHelps =
  'a pooler in between, or options in the address, drop what sessions are opened with; set it for the role or the database'

const settingsSql = `
  select current_setting('default_transaction_isolation') as isolation, current_setting('datestyle') as "dateStyle"`

const settingsRows = z.tuple([z.object({ isolation: z.string(), dateStyle: z.string() })])
