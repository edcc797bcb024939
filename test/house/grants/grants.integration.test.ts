import { cloneDatabase, createRoles, createVhost, publishedGrants } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi } from '../../../control-plane/test/open-api.ts'
import { type Place, workOfRoles } from './work-of-roles.ts'

const grants = publishedGrants()
const names = [...new Set(grants.map(({ role }) => role))]

let place: Place
let roles: Awaited<ReturnType<typeof createRoles>>
let close: () => Promise<void>

beforeAll(async () => {
  const [database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
  const admin = await openApi(database.url)
  roles = await createRoles(database)
  place = { databaseUrl: database.url, rabbitmqUrl: vhost.url, admin }
  close = async () => {
    await admin.close()
    await Promise.all([database.drop(), vhost.drop()])
    await roles.drop()
  }
})
afterAll(() => close())

const workAs = (role: string): Promise<void> => {
  const work = workOfRoles[role]
  if (work === undefined) throw new Error(`nothing is known of what ${role} does`)
  return work(roles.urlFor(role), place)
}

test('there are grants for every role', () => {
  expect(names.toSorted()).toEqual(Object.keys(workOfRoles).toSorted())
})

test.each(names)('the grants of %s are enough for its work', (role) => workAs(role))

test.each(grants)('$role needs $privilege on $table', async (grant) => {
  await roles.revoke(grant)
  try {
    // A table of which a role may do nothing seems to be missing, and to make it is refused.
    await expect(workAs(grant.role)).rejects.toThrow(
      new RegExp(`permission denied for (table ${grant.table}|schema public)`),
    )
  } finally {
    await roles.grant(grant)
  }
})
