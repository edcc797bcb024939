import type { Engine } from './engine.ts'

/**
 * What Postgres may know of the tables when it plans: nothing, as in a fresh installation; what an autovacuum saw that
 * came while none of their rows was committed, or when each of their pages had one; or how they are. Given as the pages
 * and rows of each table and index.
 */
export const knownStatistics = [
  { known: 'nothing', of: { pages: 0, rows: -1 } },
  { known: 'that there were no rows', of: { pages: 1, rows: 0 } },
  { known: 'that there was a row a page', of: { pages: 1, rows: 1 } },
  { known: 'what there is', of: null },
] as const

export type Statistics = (typeof knownStatistics)[number]['of']

/** Has Postgres know that of all tables of the engine. */
export const setStatistics = async ({ query }: Pick<Engine, 'query'>, of: Statistics): Promise<void> => {
  if (of === null) {
    await query('analyze')
    return
  }
  await query(
    `delete from pg_statistic where starelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)`,
  )
  await query(
    `update pg_class set relpages = $1, reltuples = $2
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')`,
    [of.pages, of.rows],
  )
}
