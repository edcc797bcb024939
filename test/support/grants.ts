import { readFileSync } from 'node:fs'

/** One privilege on one table, for one role. */
export type Grant = { role: string; privilege: string; table: string }

const page = new URL('../../docs/answers.md', import.meta.url)

/**
 * The grants that the documents publish in their SQL, one by one.
 *
 * @throws for a line of SQL that is no grant.
 */
export const publishedGrants = (): Grant[] =>
  [...readFileSync(page, 'utf8').matchAll(/^```sql\n(.*?)^```$/gms)].flatMap(([, sql = '']) =>
    sql.split('\n').filter(Boolean).flatMap(grantsOf),
  )

const grantsOf = (line: string): Grant[] => {
  const [, privileges, tables, role] = /^grant ([a-z, ]+) on ([a-z_, ]+) to ([a-z_]+);$/.exec(line) ?? []
  if (privileges === undefined || tables === undefined || role === undefined) throw new Error(`no grant: ${line}`)
  return tables.split(', ').flatMap((table) => privileges.split(', ').map((privilege) => ({ role, privilege, table })))
}
