/**
 * What runs one statement with bound parameters `$1`, `$2`: a `pg` client, a pool, MikroORM behind `queryable`, or a few
 * lines around another library. Rows come as the driver reads them; `rowCount` counts those written or returned.
 * `migrate` gives it several statements at once, without parameters.
 */
export type Queryable = {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[]; rowCount: number | null }>
}
