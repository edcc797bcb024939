import { cloneDatabase } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openControlSession } from './control-session.ts'
import { identifyDatabase } from './identify-database.ts'

/** As a session of a database sees it. */
const identityOf = async ({ url }: { url: string }): Promise<string> => {
  const session = await openControlSession(url, 'identity')
  try {
    return await identifyDatabase(session)
  } finally {
    await session.close()
  }
}

test('two copies of a database are told apart, each by the same name in every session', async () => {
  const [one, other] = await Promise.all([cloneDatabase(), cloneDatabase()])
  onTestFinished(async () => {
    await Promise.all([one.drop(), other.drop()])
  })
  const identities = [await identityOf(one), await identityOf(other), await identityOf(one)]
  expect(new Set(identities).size).toBe(2)
  expect(identities[0]).toBe(identities[2])
  expect(identities[0]).toMatch(/^\d+\.\d+$/)
})
