import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import type { Child } from './write-children.ts'

/** A child and the status that it is written with: on the belt, behind the window, or over before it began. */
export type PlacedChild = Child & { status: 'queued' | 'staged' | 'cancelled' }

/**
 * Says where the children of one unit of work go, piece by piece: as many of a step onto the belt as its window has room
 * for, and none past others that wait; the rest is staged. Those of a run that is being cancelled are written `cancelled`,
 * so that the client sees what was not done any more, and every item out of a step is still a job of the next.
 *
 * Nothing is locked: other units of the same step go on until the counters are moved, which is the last thing that a
 * unit does. What they have filled meanwhile is told by the counters then (`stageOverflow`), and a cancel that commits
 * just after this read finds the children with its sweep.
 */
export const createPlaces = (tx: Queryable, window: number) => {
  const rooms = new Map<string, z.infer<typeof roomRows>[number]>()
  return async (children: readonly Child[]): Promise<PlacedChild[]> => {
    const unknown = [...new Set(children.map(keyOf))].filter((key) => !rooms.has(key)).map((key) => key.split(' '))
    if (unknown.length > 0) {
      const { rows } = await tx.query(roomSql, [unknown.map(([run]) => run), unknown.map(([, step]) => step), window])
      for (const row of roomRows.parse(rows)) rooms.set(keyOf(row), row)
    }
    return children.map((child) => {
      const found = rooms.get(keyOf(child))
      if (found === undefined) throw new Error(`run ${child.runId} has no counters of step ${child.stepId}`)
      if (found.cancelling) return { ...child, status: 'cancelled' }
      found.room -= 1
      return { ...child, status: found.room >= 0 ? 'queued' : 'staged' }
    })
  }
}

const keyOf = ({ runId, stepId }: { runId: string; stepId: string }): string => `${runId} ${stepId}`

// Looked up one by one, as jobs are that are claimed.
const roomSql = `
  select wanted.run_id as "runId", wanted.step_id as "stepId",
         (select status from workflow_run where id = wanted.run_id) = 'cancelling' as cancelling,
         case when counted.staged > 0 then 0 else $3::bigint - counted.belt end::int as room
  from unnest($1::uuid[], $2::uuid[]) as wanted (run_id, step_id)
  cross join lateral (
    select staged, belt from workflow_run_step where run_id = wanted.run_id and step_id = wanted.step_id
    offset 0
  ) counted`

const roomRows = z.array(z.object({ runId: z.string(), stepId: z.string(), cancelling: z.boolean(), room: z.number() }))
