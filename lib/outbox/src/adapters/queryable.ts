/**
 * What runs one statement with bound parameters `$1`, `$2`: a `pg` client, a pool, MikroORM behind `queryable`, or a few
 * lines around another library. Rows come as the driver reads them, and every row of ours has a column.
 * `migrate` gives it several statements at once, without parameters.
 */
export type Queryable = {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>
}
