import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import type { JobOnBelt } from './held-job.ts'
import { statusesBefore } from './transitions.ts'
import { limitSql } from './unit/limit-lock-waits.ts'

/** The session and the transaction that hold the lock on a job. */
type JobLock = { pid: number; transaction: string }

/**
 * So long is a job's row waited for, milliseconds. Another delivery may have it, whose function takes about as long, and
 * what this one would bring about is known when that has ended.
 */
const mostWaitMs = 30_000

/**
 * Locks a job until the end of the transaction, by compare-and-set; resolves to who holds the lock, null when somebody was
 * first. What the transaction writes belongs to the job's holder then: nobody else can end the job or take it over before.
 * The server ends the session when it is silent, or one statement takes, beyond `mostMs`; but the lock is waited for as long
 * as another delivery of the job may have it, and no longer. `onWait` hears which session is about to wait, so that it
 * may be ended, and gives what is called when it does so no more.
 *
 * The session is first as it was opened: the function of another job, which ended its transaction by itself, has given it
 * back with all that it had set there.
 *
 * Locks: this one job, before anything else of the transaction.
 *
 * @throws Postgres's `55P03` when somebody holds the job for longer.
 */
export const lockJob = async (
  tx: Queryable,
  job: JobOnBelt,
  mostMs: number,
  onWait?: (pid: number) => () => Promise<void>,
): Promise<JobLock | null> => {
  // In a statement before: the one that waits has its time from its beginning on, whatever it sets itself. And nobody but the
  // server can end a wait there: of a link that is given up for its silence a waiting session hears nothing.
  await tx.query(`${resetSql}; set local statement_timeout = 0; ${limitSql(mostWaitMs)}`, [])
  // Asked of the server, as a pooler gives its clients ids of its own making; and by itself, as of several nothing comes back.
  const [{ pid }] = sessionRows.parse((await tx.query('select pg_backend_pid() as pid', [])).rows)
  const endWait = onWait?.(pid)
  try {
    const { rows } = await tx.query(lockSql, [job.id, job.seq, job.claim, statusesBefore('succeed'), String(mostMs)])
    // It is no limit for what the function waits for.
    await tx.query('reset lock_timeout', [])
    const [lock] = lockRows.parse(rows)
    return lock === undefined ? null : { pid, ...lock }
  } finally {
    await endWait?.()
  }
}

/**
 * Takes back what somebody has set meanwhile in the session, or in its transaction: under another role, or where tables are
 * looked for elsewhere, the end of the job could not be written, and whoever has the session next would go on with it. What
 * `lockJob` has set for the transaction holds again. Gives the one that the session is in then, and that has locked or
 * written something; null when it is in none such.
 */
export const takeBack = async (tx: Queryable, mostMs: number): Promise<string | null> => {
  await tx.query(resetSql, [])
  const { rows } = await tx.query(
    `select pg_current_xact_id_if_assigned()::text as transaction,
            set_config('statement_timeout', $1, true),
            set_config('idle_in_transaction_session_timeout', $1, true)`,
    [String(mostMs)],
  )
  return transactionRows.parse(rows)[0].transaction
}

// Without values several statements go over in one message.
const resetSql = 'reset session authorization; reset role; reset all'

const lockSql = `
  select pg_current_xact_id()::text as transaction,
         set_config('statement_timeout', $5, true),
         set_config('idle_in_transaction_session_timeout', $5, true)
  from workflow_job
  where id = $1 and seq = $2 and claim is not distinct from $3::uuid and status = any ($4)
  for no key update`

const sessionRows = z.tuple([z.object({ pid: z.int() })])
const lockRows = z.array(z.object({ transaction: z.string() }))
const transactionRows = z.tuple([z.object({ transaction: z.string().nullable() })])
