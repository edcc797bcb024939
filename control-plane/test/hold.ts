import { queryable } from '@esteira/outbox'
import { onTestFinished } from 'vitest'
import * as z from 'zod'
import { api } from './use-api.ts'

/** Somebody's open transaction that has a row locked, and the session that it is in. */
export const hold = async (sql: string, id: string) => {
  const holder = api.orm.em.fork()
  await holder.begin()
  const release = async () => {
    if (holder.isInTransaction()) await holder.rollback()
  }
  onTestFinished(release)
  const { rows } = await queryable(holder).query(sql, [id])
  const [{ pid }] = z.tuple([z.object({ pid: z.int() })]).parse(rows)
  return { pid, release }
}
