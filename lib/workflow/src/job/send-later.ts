import { enqueue, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import type { JobOnBelt } from './held-job.ts'
import { jobMessage } from './new-job.ts'

/** A delivery of a job that is to come once more: how often it was put off before, and handed out. */
export type HeldDelivery = { job: JobOnBelt; putOffs: number; deliveries: number }

/** So long is a job left alone, milliseconds, at first, and at most: each time it is twice as long. */
const [firstMs, mostMs] = [10_000, 60_000]

/**
 * Writes messages for later of jobs whose rows somebody holds locked, so that nothing can be written of them: each is the
 * job's valid one like the one that was delivered, with the same `seq`. How often that was put off and handed out goes with
 * it, as the broker counts anew: a suspect stays one. Of a job for which one waits already no other is written. So where a
 * worker is killed before it has acked what it put off here, that message and its successor become one again.
 *
 * Locks: nothing. Two that write for the same job in one moment do not see each other's message, and then the job has
 * two, as before: whichever of them is taken second brings nothing to do, or finds the other one waiting.
 */
export const sendLater = async (em: EntityManager, held: readonly HeldDelivery[], lane: number): Promise<void> => {
  const one = new Map(held.map((delivery) => [keyOf(delivery.job), delivery]))
  const jobs = [...one.values()].map(({ job }) => job)
  const values = [jobs.map(({ functionName }) => functionName), jobs.map(({ id }) => id), mostMs]
  const { rows } = await queryable(em).query(waitingSql, values)
  for (const waiting of waitingRows.parse(rows)) one.delete(keyOf(waiting))
  await enqueue(em, [...one.values()].map(messageOf), { lane })
}

const keyOf = ({ id, seq }: { id: string; seq: number }): string => `${id} ${seq}`

const messageOf = ({ job, putOffs, deliveries }: HeldDelivery) =>
  jobMessage(job.functionName, {
    ...job,
    putOff: { times: putOffs + 1, deliveries },
    delayMs: Math.min(mostMs, firstMs * 2 ** putOffs),
  })

// By lane and time, as the index has them: of what waits in all, no more is read than what is due as soon as these would be.
const waitingSql = `
  select payload ->> 'jobId' as id, (payload ->> 'seq')::int as seq from outbox_scheduled
  where lane = any (array(select id from outbox_lane))
    and available_at <= now() + $3::float8 * interval '1 ms'
    and exchange = ''
    and routing_key = any ($1)
    and payload ->> 'jobId' = any ($2)`

const waitingRows = z.array(z.object({ id: z.string(), seq: z.int() }))
