import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** Which advisory lock commits wait for. */
const lockKey = 4_711

/**
 * Keeps every transaction that ends a job waiting inside its COMMIT, in the server, until `release`; `condition` names
 * others, by the new row of a job. So a test can break something between the moment when a worker has said COMMIT and
 * the moment when it hears that it is done.
 */
export const holdCommits = async (em: EntityManager, condition = 'new.finished_at is not null') => {
  const db = queryable(em)
  await db.query(
    `create or replace function hold_commit() returns trigger language plpgsql as $$
     begin
       -- Units of work do not wait for locks so long.
       perform set_config('lock_timeout', '0', true), pg_advisory_xact_lock_shared(${lockKey});
       return null;
     end $$`,
    [],
  )
  await db.query(
    `create constraint trigger hold_commit after update on workflow_job deferrable initially deferred
     for each row when (${condition}) execute function hold_commit()`,
    [],
  )
  const holder = em.fork()
  let held = true
  await holder.begin()
  await queryable(holder).query(`select pg_advisory_xact_lock(${lockKey})`, [])
  return {
    /** Whether a commit waits. */
    isHolding: async (): Promise<boolean> => {
      const { rows } = await db.query(
        `select pid from pg_locks where locktype = 'advisory' and objid = ${lockKey} and not granted
           and database = (select oid from pg_database where datname = current_database())`,
        [],
      )
      return pidRows.parse(rows).length > 0
    },
    /** Lets all commits pass, those to come as well. A second call changes nothing. */
    release: async (): Promise<void> => {
      if (!held) return
      held = false
      await holder.commit()
      await db.query(`drop trigger hold_commit on workflow_job`, [])
    },
  }
}

const pidRows = z.array(z.object({ pid: z.int() }))
