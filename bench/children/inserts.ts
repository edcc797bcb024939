import * as z from 'zod'

/** What a process that inserts rows is to do; it comes as JSON in the only argument. */
export const insertsTaskSchema = z.object({
  url: z.string(),
  rows: z.int(),
  /** Rows that it inserts before that, with ids below 0: a process of production has long been up. */
  warmUp: z.int(),
  /** Rows of a transaction of the control; ours has as many jobs in hand twice over. */
  group: z.int(),
})

export type InsertsTask = z.infer<typeof insertsTaskSchema>

export const leadTableSql = 'create table lead (id int primary key, name text, email text)'

/** What is inserted, on both sides. */
export const insertSql = 'insert into lead (id, name, email) values ($1, $2, $3)'

export const valuesOf = (id: number) => [id, `Contact number ${id} of the segmentation`, `contact.${id}@example.com`]
