import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import type { Child } from './write-children.ts'

/** A child and the status that it is written with: on the belt, or over before it began. */
export type PlacedChild = Child & { status: 'queued' | 'cancelled' }

/**
 * Says where children go. Those of a run that is being cancelled are written `cancelled`, so that the client sees what
 * was not done any more, and every item out of a step is still a job of the next. A cancel that commits just after this
 * read finds them queued; its sweep takes them from there.
 */
export const placeChildren = async (tx: Queryable, children: readonly Child[]): Promise<PlacedChild[]> => {
  if (children.length === 0) return []
  const { rows } = await tx.query(cancellingSql, [[...new Set(children.map(({ runId }) => runId))]])
  const cancelling = new Set(runRows.parse(rows).map(({ id }) => id))
  return children.map((child) => ({ ...child, status: cancelling.has(child.runId) ? 'cancelled' : 'queued' }))
}

const cancellingSql = `select id from workflow_run where id = any ($1::uuid[]) and status = 'cancelling'`

const runRows = z.array(z.object({ id: z.string() }))
