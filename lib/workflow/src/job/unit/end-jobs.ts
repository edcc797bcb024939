import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import { type Ending, type FinishedJob, placedOf } from '../held-job.ts'
import { childrenIn } from '../../payload/place-result.ts'
import { type JobEvent, statusesBefore, transitions } from '../transitions.ts'
import { jsonOf } from '../../payload/json-of.ts'

/**
 * Writes the end of attempts, each by compare-and-set on `(id, seq, claim)` and the statuses that the event may come
 * from; returns those whose job was still ours. It is the first statement of its transaction, so whatever else the
 * transaction writes belongs to the winners. Of two attempts at one job (its message came twice) the update takes one.
 *
 * Locks: the jobs, in the order of their ids, before anything else of the unit of work. Two groups that share jobs
 * (a redelivery) take them in the same order, so they cannot deadlock here.
 */
export const endJobs = async (
  tx: Queryable,
  finished: readonly FinishedJob[],
  worker: string,
): Promise<Set<FinishedJob>> => {
  if (finished.length === 0) return new Set()
  const { rows } = await tx.query(endJobsSql, [jsonOf(finished.map(endRow)), worker])
  const places = new Set(endedRows.parse(rows).map(({ place }) => place))
  return new Set(finished.filter((_, place) => places.has(place)))
}

// As json and not jsonb, which would be parsed into a whole first: 34 us a job and not 43, of the server's CPU. The
// jobs are looked up one by one, as when they are claimed.
const endJobsSql = `
  with finished as (
    select * from json_to_recordset($1::json) as finished(
      place int, id uuid, run_id uuid, seq int, claim uuid, "from" text[], status text, next_seq int, attempt int,
      children int, cursor jsonb, output jsonb, error jsonb, delay_ms float8, elapsed_ms float8)
    order by id
  ), held as (
    select finished.* from finished cross join lateral (
      select from workflow_job
      where id = finished.id
        and run_id = finished.run_id
        and seq = finished.seq
        and claim is not distinct from finished.claim
        and status = any (finished."from")
      for no key update
    ) job
  )
  update workflow_job job set
    status = held.status,
    seq = held.next_seq,
    -- One that goes on begins its attempts anew, if it has brought the job any further; of its pages the job's row knows.
    attempt = case
      when held.attempt is not null then held.attempt
      when held.children > 0 or coalesce(held.cursor, job.cursor) is distinct from job.cursor then 0
      else job.attempt
    end,
    claim = null,
    beat_at = null,
    emitted = job.emitted + held.children,
    cursor = coalesce(held.cursor, job.cursor),
    output = held.output,
    error = held.error,
    worker = $2,
    started_at = coalesce(job.started_at, clock_timestamp() - held.elapsed_ms * interval '1 ms'),
    run_after = now() + held.delay_ms * interval '1 ms',
    enqueued_at = case when held.status = 'queued' then now() else job.enqueued_at end,
    finished_at = case when held.status = 'queued' then null else clock_timestamp() end
  from held where job.id = held.id
  returning held.place`

const endedRows = z.array(z.object({ place: z.int() }))

/** What is null is left out: Postgres reads each member of each row. */
const endRow = ({ job, ending, elapsedMs }: FinishedJob, place: number) => {
  const event = events[ending.kind]
  const placed = placedOf(ending)
  return {
    place,
    id: job.id,
    run_id: job.runId,
    seq: job.seq,
    claim: job.claim ?? undefined,
    from: statusesBefore(event),
    status: transitions.running[event],
    next_seq: event === 'requeue' ? job.seq + 1 : job.seq,
    attempt: attemptAfter(job.attempt, ending) ?? undefined,
    children: placed === null ? 0 : childrenIn(placed),
    cursor: ending.kind === 'continued' ? ending.cursor : undefined,
    output: outputOf(ending),
    error: 'error' in ending ? (ending.error ?? undefined) : undefined,
    delay_ms: ending.kind === 'requeued' ? ending.delayMs : undefined,
    // None for one that nobody tried.
    elapsed_ms: ending.kind === 'cancelled' && elapsedMs === 0 ? undefined : elapsedMs,
  }
}

const outputOf = (ending: Ending): unknown =>
  ending.kind === 'succeeded' && ending.placed.kind === 'output' ? (ending.placed.output ?? undefined) : undefined

/** Tries that have ended: one that was cut short by a cancel burns none. Null where that depends on how far the job came. */
const attemptAfter = (before: number, ending: Ending): number | null => {
  switch (ending.kind) {
    case 'requeued':
      return ending.attempt
    case 'continued':
      return null
    case 'cancelled':
      return before
    default:
      return before + 1
  }
}

const events = {
  succeeded: 'succeed',
  failed: 'fail',
  requeued: 'requeue',
  continued: 'requeue',
  cancelled: 'cancel',
} as const satisfies Record<Ending['kind'], JobEvent>
