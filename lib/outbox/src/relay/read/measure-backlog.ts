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
 * Looks above the floors only, so the cost does not hang on how many rows were there before; but except in a key lane the
 * floor rises above rows that were refused, and those to a closed destination: those lanes are counted from below them.
 */
export const measureBacklog = async (session: ControlSession, lanes: readonly OwnedLane[]): Promise<LaneBacklog[]> => {
  const { rows } = await session.query(backlogSql, [
    lanes.map(({ name }) => name),
    lanes.map(({ lane }) => lane),
    lanes.map((owned) => String(countedFrom(owned))),
    mostCounted,
  ])
  return rows.map(parseBacklog)
}

const countedFrom = ({ kind, pointers, held }: OwnedLane): bigint => {
  const [floor, above] = [pointers.floor(), kind === 'key' ? null : held.above()]
  return above !== null && above < floor ? above : floor
}

const parseBacklog = (row: unknown): LaneBacklog => {
  const { lane, rows, seconds } = readColumns(row, 'the measure of a backlog', {
    lane: 'string',
    rows: 'number',
    seconds: 'number',
  })
  return { lane, rows, oldestSeconds: Math.max(0, seconds) }
}

// One pass through the rows, which may pass many deleted ones that some session's snapshot keeps, hence the time it may take.
const backlogSql = {
  name: 'measure_backlog',
  mayTakeLong: true,
  text: `
    select own.name as lane, count(waiting.id)::int as rows,
      coalesce(
        extract(epoch from clock_timestamp() - (array_agg(waiting.created_at))[1])::float8,
        0
      ) as seconds
    from unnest($1::text[], $2::int[], $3::bigint[]) as own (name, lane, floor)
    left join lateral (
      select id, created_at from outbox_message where lane = own.lane and id > own.floor order by id limit $4
    ) as waiting on true
    group by own.name, own.lane`,
}
