import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** Reads the payloads of jobs in one statement, by their ids. */
export const readPayloads = async (em: EntityManager, ids: readonly string[]): Promise<Map<string, unknown>> => {
  const { rows } = await queryable(em).query(`select id, payload from workflow_job where id = any ($1::uuid[])`, [ids])
  return new Map(payloadRows.parse(rows).map(({ id, payload }) => [id, payload]))
}

const payloadRows = z.array(z.object({ id: z.string(), payload: z.unknown() }))
