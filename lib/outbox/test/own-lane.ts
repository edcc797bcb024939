import { onTestFinished } from 'vitest'
import { refusedBackoff } from '../src/relay/backoff.ts'
import { createOwnedLane } from '../src/relay/lane/owned-lane.ts'
import { openControlSession } from '../src/relay/own/control-session.ts'
import { findOrAddLane } from '../src/relay/own/registered-lane.ts'
import { database, lane } from './use-lane.ts'

/** The test's lane, or another one, as a relay has it that takes itself for the owner, on a session that ends with the test. */
export const ownLane = async (applicationName: string, name = lane.name, backoff = refusedBackoff) => {
  const session = await openControlSession(database.url, applicationName)
  onTestFinished(session.close)
  return createOwnedLane(await findOrAddLane(session, name), session, backoff)
}
