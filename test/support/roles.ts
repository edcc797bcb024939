import { inject } from 'vitest'
import type { TestDatabase } from './databases.ts'
import { type Grant, publishedGrants } from './grants.ts'
import { runOn } from './run-on.ts'

/** The roles of the documents, with the grants that they publish, in one database. */
export type TestRoles = {
  /** The database's address for a role. */
  urlFor: (role: string) => string
  grant: (grant: Grant) => Promise<void>
  revoke: (grant: Grant) => Promise<void>
  /** Drops the roles, once their database is dropped. */
  drop: () => Promise<void>
}

/** Makes the roles. They belong to the whole server, so they have the name of their database before their own. */
export const createRoles = async ({ url }: Pick<TestDatabase, 'url'>): Promise<TestRoles> => {
  const grants = publishedGrants()
  const nameOf = (role: string) => `${new URL(url).pathname.slice(1)}_${role}`
  const names = [...new Set(grants.map(({ role }) => nameOf(role)))]
  const granting = ({ privilege, table, role }: Grant) => `grant ${privilege} on ${table} to ${nameOf(role)}`
  await runOn(url, ...names.map((name) => `create role ${name} login password '${name}'`), ...grants.map(granting))
  return {
    urlFor: (role) => {
      const address = new URL(url)
      address.username = nameOf(role)
      address.password = nameOf(role)
      return address.href
    },
    grant: async (grant) => {
      await runOn(url, granting(grant))
    },
    revoke: async ({ privilege, table, role }) => {
      await runOn(url, `revoke ${privilege} on ${table} from ${nameOf(role)}`)
    },
    drop: async () => {
      await runOn(inject('stack').postgresUrl, ...names.map((name) => `drop role ${name}`))
    },
  }
}
