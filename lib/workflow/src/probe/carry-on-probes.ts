import { enqueue, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import { probeMessage } from './probe-message.ts'
import type { ProbeTimes } from './probe-times.ts'

/**
 * Sends what is due of the probes that are under way; returns of which functions. Of one that was seen one hold ago that
 * is the second round: what went back to the queue in that time is before it. And one that was not seen and is in no
 * table of the outbox either may have gone the way of the jobs: it is sent once more, ever more seldom.
 *
 * Locks: the probes, passing over those that somebody else has.
 */
export const carryOnProbes = (em: EntityManager, lane: number, times: ProbeTimes): Promise<string[]> =>
  em.transactional(async (em) => {
    const tx = queryable(em)
    const second = dueRows.parse((await tx.query(secondRoundSql, [times.holdMs])).rows)
    const fresh = second.map(({ functionName }) => ({ functionName, id: uuidv7() }))
    await tx.query(beginSecondSql, [fresh.map(({ functionName }) => functionName), fresh.map(({ id }) => id)])
    const again = dueRows.parse((await tx.query(againSql, [times.againMs])).rows)
    const sent = [...fresh, ...again]
    await enqueue(
      em,
      sent.map(({ functionName, id }) => probeMessage(functionName, id)),
      { lane },
    )
    return sent.map(({ functionName }) => functionName)
  })

const secondRoundSql = `
  select function_name as "functionName", id from workflow_probe
  where round = 1 and seen_at <= now() - $1::float8 * interval '1 ms'
  order by function_name
  for update skip locked`

const beginSecondSql = `
  update workflow_probe probe
  set round = 2, passed_at = probe.seen_at, seen_at = null, id = fresh.id, sent_at = now(), times = 1
  from unnest($1::text[], $2::uuid[]) as fresh (function_name, id)
  where probe.function_name = fresh.function_name`

const againSql = `
  with due as (
    select function_name from workflow_probe probe
    where seen_at is null
      and sent_at <= now() - $1::float8 * least(2 ^ least(times - 1, 10), 12) * interval '1 ms'
      and not exists (
        select from (
          select exchange, routing_key, payload from outbox_message union all
          select exchange, routing_key, payload from outbox_parked
        ) kept
        where exchange = '' and routing_key = probe.function_name and payload ->> 'probe' = probe.id::text
      )
    order by function_name
    for update of probe skip locked
  )
  update workflow_probe probe set sent_at = now(), times = times + 1
  from due where probe.function_name = due.function_name
  returning probe.function_name as "functionName", probe.id`

const dueRows = z.array(z.object({ functionName: z.string(), id: z.string() }))
