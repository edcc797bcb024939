/**
 * Of `outbox_message` the rows of a lane that have one of the ids. The bounds are for Postgres 15 and 16, which may take
 * the ids alone for a filter and read the lane from its first row, deleted ones included.
 */
export const rowsById = (lane: string, ids: string): string => `
      lane = ${lane} and id = any(${ids}::bigint[])
        and id between (select min(id) from unnest(${ids}::bigint[]) as id) and (select max(id) from unnest(${ids}::bigint[]) as id)`
