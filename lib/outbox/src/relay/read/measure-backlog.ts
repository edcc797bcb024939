import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'

/** What waits in a lane. A lane that holds more rows than `mostCounted` tells that number. */
export type LaneBacklog = {
  lane: string
  rows: number
  /** The age of the first row, by the clock of Postgres; 0 when there is none. */
  oldestSeconds: number
}

/** To count a backlog of millions would cost more than anybody learns from it. */
export const mostCounted = 10_000

/**
 * Looks above the floors only, so the cost does not hang on how many rows were there before; but the floor rises above
 * rows that were refused, and those to a closed destination, so a lane that has some is counted from its beginning.
 */
export const measureBacklog = async (session: ControlSession, lanes: readonly OwnedLane[]): Promise<LaneBacklog[]> => {
  const { rows } = await session.query(backlogSql, [
    lanes.map(({ name }) => name),
    lanes.map(({ lane }) => lane),
    lanes.map(({ pointers, held }) => String(held.isEmpty() ? pointers.floor() : 0n)),
    mostCounted,
  ])
  return rows.map(parseBacklog)
}

const parseBacklog = (row: unknown): LaneBacklog => {
  const { lane, rows, seconds } = readColumns(row, 'the measure of a backlog', {
    lane: 'string',
    rows: 'number',
    seconds: 'number',
  })
  return { lane, rows, oldestSeconds: Math.max(0, seconds) }
}

const backlogSql = {
  name: 'measure_backlog',
  text: `
    select own.name as lane,
      (
        select count(*)::int
        from (select from outbox_message where lane = own.lane and id > own.floor limit $4) as counted
      ) as rows,
      coalesce(
        (
          select extract(epoch from clock_timestamp() - created_at)::float8 from outbox_message
          where lane = own.lane and id > own.floor
          order by id
          limit 1
        ),
        0
      ) as seconds
    from unnest($1::text[], $2::int[], $3::bigint[]) as own (name, lane, floor)`,
}
