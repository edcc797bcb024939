import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import type { JobOnBelt } from './held-job.ts'
import { statusesBefore } from './transitions.ts'

/**
 * Locks a job until the end of the transaction, by compare-and-set; resolves to the session that holds the lock, null
 * when somebody was first. What the transaction writes belongs to the job's holder then: nobody else can end the job or
 * take it over before. The server ends the session when it is silent, or one statement takes, beyond `mostMs`.
 *
 * Locks: this one job, before anything else of the transaction.
 */
export const lockJob = async (tx: Queryable, job: JobOnBelt, mostMs: number): Promise<number | null> => {
  const { rows } = await tx.query(
    `select pg_backend_pid() as pid,
            set_config('statement_timeout', $5, true),
            set_config('idle_in_transaction_session_timeout', $5, true)
     from workflow_job
     where id = $1 and seq = $2 and claim is not distinct from $3::uuid and status = any ($4)
     for no key update`,
    [job.id, job.seq, job.claim, statusesBefore('succeed'), String(mostMs)],
  )
  return sessionRows.parse(rows)[0]?.pid ?? null
}

const sessionRows = z.array(z.object({ pid: z.int() }))
