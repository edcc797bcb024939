/**
 * What runs one statement with bound parameters `$1`, `$2`: a `pg` client, a pool, or MikroORM behind `queryable`.
 * Rows come as the driver reads them.
 */
export type Queryable = {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[]; rowCount: number | null }>
}
