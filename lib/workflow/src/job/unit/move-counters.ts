import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import { lowWater } from './window.ts'

/** By how much the counters of one step of one run move. */
export type CounterMove = {
  runId: string
  stepId: string
  staged: number
  belt: number
  succeeded: number
  failed: number
  cancelled: number
  /** The first of the jobs that wait from now on: no release begins behind it before it is released. */
  waitsFrom: string | null
}

/** Moves of one transaction, gathered so that each run-step row is written once. */
export const gatherMoves = () => {
  const moves = new Map<string, CounterMove>()
  return {
    add: (runId: string, stepId: string, by: Partial<Omit<CounterMove, 'runId' | 'stepId'>>): void => {
      const key = `${runId} ${stepId}`
      const move: CounterMove = moves.get(key) ?? { runId, stepId, ...noMove }
      move.staged += by.staged ?? 0
      move.belt += by.belt ?? 0
      move.succeeded += by.succeeded ?? 0
      move.failed += by.failed ?? 0
      move.cancelled += by.cancelled ?? 0
      move.waitsFrom = firstOf(move.waitsFrom, by.waitsFrom ?? null)
      moves.set(key, move)
    },
    all: (): CounterMove[] => [...moves.values()],
  }
}

const noMove = { staged: 0, belt: 0, succeeded: 0, failed: 0, cancelled: 0, waitsFrom: null }

const firstOf = (one: string | null, other: string | null): string | null =>
  one === null || (other !== null && other < one) ? other : one

/** How many jobs of a step wait and are on the belt after a move. */
export type Moved = { runId: string; stepId: string; staged: number; belt: number }

/**
 * Applies the moves and returns where they led.
 *
 * Locks: the run-step rows in the order of run and step, always after the jobs, so units of work cannot deadlock.
 */
export const moveCounters = async (tx: Queryable, moves: readonly CounterMove[]): Promise<Moved[]> => {
  if (moves.length === 0) return []
  const { rows } = await tx.query(moveCountersSql, [JSON.stringify(moves)])
  return movedRows.parse(rows)
}

/** The runs that are worth settling: a step of theirs has nothing open any more, or room for jobs that wait. */
export const runsToSettle = (moved: readonly Moved[], window: number): string[] => {
  const some = moved.filter(({ staged, belt }) => (staged === 0 ? belt === 0 : belt <= lowWater(window)))
  return [...new Set(some.map(({ runId }) => runId))]
}

// Looked up one by one, as jobs are that are claimed.
const moveCountersSql = `
  with move as (
    select * from jsonb_to_recordset($1::jsonb)
      as move(
        "runId" uuid, "stepId" uuid, staged bigint, belt bigint, succeeded bigint, failed bigint, cancelled bigint,
        "waitsFrom" uuid)
    order by "runId", "stepId"
  ), held as (
    select move.* from move cross join lateral (
      select from workflow_run_step where run_id = move."runId" and step_id = move."stepId"
      for no key update
    ) counted
  )
  update workflow_run_step counted set
    staged = counted.staged + held.staged,
    belt = counted.belt + held.belt,
    succeeded = counted.succeeded + held.succeeded,
    failed = counted.failed + held.failed,
    cancelled = counted.cancelled + held.cancelled,
    -- A floor that is null is the start.
    released_to = case when counted.released_to > held."waitsFrom" then held."waitsFrom" else counted.released_to end
  from held
  where counted.run_id = held."runId" and counted.step_id = held."stepId"
  returning counted.run_id as "runId", counted.step_id as "stepId", counted.staged::float8 as staged,
    counted.belt::float8 as belt`

const movedRows = z.array(z.object({ runId: z.string(), stepId: z.string(), staged: z.number(), belt: z.number() }))
