import { runOn, startProxy, waitFor } from '@esteira/test/support'
import { onTestFinished } from 'vitest'
import { registerLane } from '../src/index.ts'
import { lockClasses } from '../src/relay/own/lane-lock.ts'
import { neighbourLocks } from '../src/relay/own/neighbours.ts'
import { type LaneUnderTest, openLane, sleepers } from './lane-under-test.ts'
import { database, lane, vhost } from './use-lane.ts'

/** A relay with everything that it observed. */
export type WatchedRelay = ReturnType<LaneUnderTest['relay']>

/** Longer than any test may take: a relay that waits for the end of its grace fails it. */
export const endless = 60_000

/** Of four batches, each by a read of its own: a lane that is to be left has several in flight. */
export const window = 40

export const patient = { deadlineMs: 60_000 }

/** Puts rows into a lane. */
export const fill = (id: number, rows: number, queue = lane.name) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), $2, '1' from generate_series(1, $3)`,
    [id, queue, rows],
  )

/** A lane that relays adopt, empty, and how many rows are left in it. */
export const addLane = async (kind: 'always' | 'pod' = 'always') => {
  const name = `${lane.name} ${kind}`
  const id = await registerLane(lane.db, name, kind)
  return {
    id,
    name,
    rowsLeft: async () => (await lane.db.query('select from outbox_message where lane = $1', [id])).rowCount,
  }
}

/**
 * Puts a row into a lane, and another one for each that is deleted: no relay comes to its end. Returns what ends that,
 * as the end of the test does.
 */
export const keepFilled = async (id: number, queue = lane.name): Promise<() => Promise<void>> => {
  const again = `again_${id}`
  const end = async () => void (await runOn(database.url, `drop function if exists ${again} cascade`))
  onTestFinished(end)
  await lane.db.query(
    `create function ${again}() returns trigger language plpgsql as $$ begin
       insert into outbox_message (lane, message_id, routing_key, payload)
       values (old.lane, gen_random_uuid(), old.routing_key, old.payload);
       return null;
     end $$`,
  )
  await lane.db.query(
    `create trigger ${again} after delete on outbox_message
     for each row when (old.lane = ${id}) execute function ${again}()`,
  )
  await fill(id, 1, queue)
  return end
}

/** Messages with ten keys, in several lanes of keys. */
export const keyedFor = (queue: string) =>
  Array.from({ length: 100 }, (_, index) => ({ routingKey: queue, payload: index, orderingKey: `key ${index % 10}` }))

/** How many rows with a key are left. */
export const keyedLeft = async () =>
  (await lane.db.query('select from outbox_message where ordering_key is not null')).rowCount

/** A relay with a lane of its own. */
export const openNeighbour = async (rabbitmqUrl = vhost.url): Promise<WatchedRelay> => {
  const neighbour = await openLane(`${lane.name} neighbour`, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  onTestFinished(neighbour.close)
  return neighbour.relay({ rabbitmqUrl, adopt: true })
}

/** How many relays of the database adopt lanes. */
export const adopters = async () => {
  const { rowCount } = await lane.db.query(
    `select from pg_locks
     where classid::bigint = $1 and objid::bigint = $2 and granted
       and database = (select oid from pg_database where datname = current_database())`,
    [lockClasses.adopter, neighbourLocks.adopting],
  )
  return rowCount
}

/** The lanes that the relay took. */
export const tookLanes = (relay: WatchedRelay) =>
  relay.saw('relay.owned').map((owned) => ('lane' in owned ? owned.lane : ''))

export const keyLanesOf = (relay: WatchedRelay) => tookLanes(relay).filter((name) => name.startsWith('key ')).length

export const ownsKeyLanes = (relay: WatchedRelay) => () => keyLanesOf(relay) === 8

/** Whether every lane that is no pod's own has an owner that sleeps, and so has opened its channel. */
export const areAllAsleep = async () => {
  const [{ rows }, asleep] = [
    await lane.db.query<{ id: number }>(`select id from outbox_lane where kind <> 'pod'`),
    await sleepers(lane.db),
  ]
  return rows.every(({ id }) => asleep.includes(id))
}

/** A relay with all lanes that are no pod's, by a way to RabbitMQ of its own, and a neighbour for what it leaves. */
export const startTwo = async (neighbour?: WatchedRelay) => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const [first, other] = [
    lane.relay({ rabbitmqUrl: proxy.url, adopt: true, window }),
    neighbour ?? (await openNeighbour()),
  ]
  await first.start()
  await waitFor(areAllAsleep, patient)
  await other.start()
  await waitFor(async () => (await adopters()) === 2, patient)
  return { proxy, first, other }
}

/** Resolves when a relay that is to stop no longer counts as one that adopts, and knows whether it has neighbours. */
export const hasLeft = async (relay: WatchedRelay, others: number): Promise<void> => {
  await waitFor(async () => (await adopters()) === others, patient)
  // By the same session, and so after the answer to that.
  await relay.backlog()
}
