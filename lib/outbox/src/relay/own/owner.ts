import pg from 'pg'
import { OutboxError, reasonOf } from '../../errors.ts'
import { findOrAddLane, type RegisteredLane } from '../../register/find-or-add-lane.ts'
import { createOwnedLane, type OwnedLane } from '../lane/owned-lane.ts'
import type { ReleaseReason } from '../observation.ts'
import { onAbort } from '../on-abort.ts'
import type { RelaySettings } from '../options.ts'
import { watchIds } from '../read/id-watch.ts'
import { createWriterWatch } from '../read/writer-watch.ts'
import { freeDoorbell } from '../wake/doorbell.ts'
import { type Backend, identifyBackend, stillThere } from './backend.ts'
import { type ControlSession, openControlSession, queryableOf } from './control-session.ts'
import { findLastOrphans, findOrphans, type LastOrphan, longestSweepMs } from './find-orphans.ts'
import { identifyDatabase } from './identify-database.ts'
import { freeLaneLock, tryLaneLock } from './lane-lock.ts'
import { createNeighbours, type Neighbours } from './neighbours.ts'
import { createOrphanWatch } from './orphan-watch.ts'
import { watchSilence } from './watch-silence.ts'

/** What one control session owns. */
export type Owner = {
  session: ControlSession
  /** Tells the database apart from all others. */
  database: string
  backend: Backend
  neighbours: Neighbours
  /** When the session is over: since when nothing was heard on it (`performance.now()`), or null if it ended otherwise. */
  silentSinceMs: Promise<number | null>
  /** Those sessions that are not gone at Postgres: until then they have their locks, and look like a neighbour's. */
  stillThere: (former: readonly Backend[]) => Promise<Backend[]>
  /** The relay's own lane. */
  home: RegisteredLane
  /** The home lane, or null while a neighbour has it. */
  ownHome: () => Promise<OwnedLane | null>
  /**
   * Takes lanes that hold rows and have no owner, at most `limit`, and says how many. `onTaken` hears of each at once: what
   * goes wrong with a later one must leave none that is owned and that nobody works on.
   */
  adopt: (limit: number, onTaken: (lane: OwnedLane) => void) => Promise<number>
  /** The same without telling of them, and looks into every lane, however long that takes. */
  adoptOfAll: (limit: number) => Promise<number>
  /** The lanes that are no pod's own, and those of these numbers, that have no owner, or one that is about to leave them. */
  lastOrphans: (others: readonly number[]) => Promise<LastOrphan[]>
  /** Takes those of them that still have no owner, and says so as `adopt` does. */
  takeAll: (orphans: readonly RegisteredLane[], onTaken: (lane: OwnedLane) => void) => Promise<number>
  /** The lanes that are ours now. */
  lanes: () => OwnedLane[]
  /** Ends the session, and with it frees every lane. */
  close: () => Promise<void>
  /** Gives a lane to whoever asks for it next. */
  release: (lane: OwnedLane, reason: ReleaseReason) => Promise<void>
}

/**
 * Opens a session and finds the home lane, unless the signal is aborted before that is done.
 *
 * @throws OutboxError `database_unavailable`, also when the tables are not there yet, `pooler_in_between`,
 * `sequence_unordered` and `right_missing`.
 */
export const openOwner = async (settings: RelaySettings, signal: AbortSignal): Promise<Owner> => {
  const session = await openControlSession(settings.databaseUrl, `outbox relay ${settings.lane}`, signal)
  const unwatch = onAbort(signal, () => void session.close())
  try {
    return await createOwner(session, settings)
  } catch (cause) {
    await session.close()
    if (!isNotMigrated(cause)) throw cause
    const reason = `the tables of the outbox are not there yet: ${reasonOf(cause)}`
    throw new OutboxError('database_unavailable', reason, { cause })
  } finally {
    unwatch()
  }
}

const createOwner = async (session: ControlSession, settings: RelaySettings): Promise<Owner> => {
  const { lane: name, refusedBackoff, observe } = settings
  const lanes = new Map<number, OwnedLane>()
  const orphans = createOrphanWatch()
  const writers = createWriterWatch(session)
  let waiting = false
  let closed = false

  const take = async (laneName: RegisteredLane): Promise<OwnedLane | null> => {
    if (!(await tryLaneLock(session, 'owner', laneName.lane))) return null
    const owned = createOwnedLane(laneName, session, { ids, writers }, refusedBackoff)
    lanes.set(owned.lane, owned)
    observe({ kind: 'relay.owned', lane: owned.name })
    return owned
  }

  const takeAll: Owner['takeAll'] = async (unowned, onTaken) => {
    let taken = 0
    // One after the other: each is asked for without waiting, and a neighbour may be faster.
    for (const one of unowned) {
      const owned = await take(one)
      if (owned === null) continue
      onTaken(owned)
      taken += 1
    }
    return taken
  }

  const { home, database, backend, ids, silentSinceMs } = await lookAround(session, settings)
  // A session that ended before owned nothing that could be lost.
  session.lost.addEventListener('abort', () => {
    if (!closed) observe({ kind: 'relay.lost', reason: reasonOf(session.lost.reason) })
  })
  return {
    session,
    database,
    backend,
    neighbours: createNeighbours(session),
    silentSinceMs,
    stillThere: (former) => stillThere(session, former),
    home,
    lanes: () => [...lanes.values()],
    ownHome: async () => {
      const owned = lanes.get(home.lane) ?? (await take(home))
      if (owned === null && !waiting) observe({ kind: 'relay.waiting', lane: name })
      waiting = owned === null
      return owned
    },
    adopt: async (limit, onTaken) => takeAll(await findOrphans(session, orphans, limit), onTaken),
    adoptOfAll: async (limit) =>
      takeAll(await findOrphans(session, createOrphanWatch(), limit, longestSweepMs), () => {}),
    lastOrphans: (others) => findLastOrphans(session, others),
    takeAll,
    close: async () => {
      closed = true
      await session.close()
    },
    release: async (owned, reason) => {
      // The next owner must be able to sleep.
      await freeDoorbell(owned)
      await freeLaneLock(session, 'owner', owned.lane)
      lanes.delete(owned.lane)
      observe({ kind: 'relay.released', lane: owned.name, reason })
    },
  }
}

const lookAround = async (session: ControlSession, settings: RelaySettings) => {
  const backend = await identifyBackend(session)
  const silentSinceMs = watchSilence(session, backend, settings)
  // Without a watch nobody would notice that it stands still. Whoever waits for the watch hears of the fault.
  silentSinceMs.catch((fault: unknown) => session.giveUp(`the watch for silence failed: ${reasonOf(fault)}`))
  const home = await findOrAddLane(queryableOf(session), settings.lane, 'pod')
  const database = await identifyDatabase(session)
  return { home, database, backend, ids: await watchIds(session), silentSinceMs }
}

/** Undefined table: the control plane migrates, and a relay may start before it. */
const isNotMigrated = (cause: unknown): boolean => cause instanceof pg.DatabaseError && cause.code === '42P01'
