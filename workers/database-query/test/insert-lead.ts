import type { QueryConfig } from './call-query.ts'
import { admin } from './use-target.ts'

/** The table that `insert` writes to, for `useTarget`. */
export const leadTable = 'create table lead (id int primary key, email text unique)'

/** A statement that inserts a lead and gives its id. */
export const insert = (
  id: number,
  email: unknown = `${id}@example.com`,
  rest: Partial<QueryConfig> = {},
): QueryConfig => ({
  sql: 'insert into lead values ($1, $2) returning id',
  params: [id, email],
  ...rest,
})

/** The emails of the leads in the target, in the order of their ids. */
export const emails = async (): Promise<unknown[]> =>
  (await admin.query('select email from lead order by id')).rows.map(({ email }) => email)
