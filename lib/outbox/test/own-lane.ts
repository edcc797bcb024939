import { onTestFinished } from 'vitest'
import { findOrAddLane } from '../src/register/find-or-add-lane.ts'
import { refusedBackoff } from '../src/relay/backoff.ts'
import { createOwnedLane } from '../src/relay/lane/owned-lane.ts'
import { watchIds } from '../src/relay/read/id-watch.ts'
import { createWriterWatch } from '../src/relay/read/writer-watch.ts'
import { openControlSession, queryableOf } from '../src/relay/own/control-session.ts'
import { database, lane } from './use-lane.ts'

/** The test's lane, or another one, as a relay has it that takes itself for the owner, on a session that ends with the test. */
export const ownLane = async (applicationName: string, name = lane.name, backoff = refusedBackoff) => {
  const session = await openControlSession(database.url, applicationName)
  onTestFinished(session.close)
  const home = await findOrAddLane(queryableOf(session), name, 'pod')
  return createOwnedLane(home, session, { ids: await watchIds(session), writers: createWriterWatch(session) }, backoff)
}
