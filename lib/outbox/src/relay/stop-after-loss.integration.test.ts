import { runOn, startProxy, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import {
  addLane,
  endless,
  hasLeft,
  keepFilled,
  keyedFor,
  keyedLeft,
  ownsKeyLanes,
  patient,
  tookLanes,
} from '../../test/stops.ts'
import { database, lane, useLane } from '../../test/use-lane.ts'
import { lockClasses } from './own/lane-lock.ts'
import { neighbourLocks } from './own/neighbours.ts'

// The stop of a relay whose session at Postgres was lost, before or in it.

useLane()

/** Ends the relay's session at Postgres. */
const endSession = () =>
  lane.db.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
    `outbox relay ${lane.name}`,
  ])

test('one that is alone and loses its session at Postgres in its stop takes the lanes again that it carried', async () => {
  await lane.declareQueue(`${lane.name} own`)
  const pod = await addLane('pod')
  const ends = [await keepFilled(lane.id, `${lane.name} own`), await keepFilled(pod.id)]
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(() => tookLanes(relay).includes(pod.name), patient)
  const stopped = relay.stop({ graceMs: endless })
  await lane.commit(...keyedFor(lane.name))
  await endSession()
  await waitFor(() => relay.saw('relay.lost').length === 1, patient)
  for (const end of ends) await end()
  await stopped
  expect(relay.saw('relay.lost')).toHaveLength(1)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect([await lane.rows(), await pod.rowsLeft(), await keyedLeft()]).toEqual([0, 0, 0])
}, 180_000)

test('a session that was lost, and lives on at Postgres, is no neighbour and keeps no lane from a stop', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  await waitFor(ownsKeyLanes(relay), patient)
  proxy.breakForClients()
  await waitFor(() => relay.saw('relay.lost').length === 1)
  await lane.commit(...keyedFor(lane.name), { routingKey: lane.name, payload: 'own' })
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(101)
}, 120_000)

test('a session that was lost is not forgotten while it lives on at Postgres, however many came after it', async () => {
  const [proxy, blocker] = [await startProxy(database.url), new pg.Client(database.url)]
  await blocker.connect()
  onTestFinished(async () => {
    await Promise.all([proxy.stop(), blocker.end()])
    // Not before that: whoever is in the middle of the delete has the table.
    await runOn(database.url, 'drop function if exists wait cascade')
  })
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  await waitFor(ownsKeyLanes(relay), patient)
  // The first session is in the middle of a delete, and so lives on for longer than those that come after it.
  await blocker.query('select pg_advisory_lock(4711)')
  await lane.db.query(
    `create function wait() returns trigger language plpgsql as
     $$ begin perform pg_advisory_xact_lock(4711); return old; end $$`,
  )
  await lane.db.query(
    `create trigger wait before delete on outbox_message
     for each row when (old.routing_key = '${lane.name}') execute function wait()`,
  )
  await lane.commit({ routingKey: lane.name, payload: 'first' })
  const sessions = async (condition: string) => {
    const { rowCount } = await lane.db.query(
      `select from pg_stat_activity where application_name = $1 and ${condition}`,
      [`outbox relay ${lane.name}`],
    )
    return rowCount
  }
  await waitFor(async () => (await sessions(`wait_event = 'advisory'`)) === 1, patient)
  for (let lost = 1; lost < 5; lost += 1) {
    await waitFor(() => relay.state().database === 'up', patient)
    proxy.breakForClients()
    await waitFor(() => relay.saw('relay.lost').length === lost, patient)
  }
  await lane.commit(...keyedFor(lane.name))
  const stopped = relay.stop({ graceMs: endless })
  // The first and the last one; or it has ended, since it took the first for a neighbour.
  await waitFor(async () => Number(await sessions('true')) <= 2 || relay.saw('relay.stopped').length > 0, patient)
  await blocker.query('select pg_advisory_unlock(4711)')
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
  expect(await keyedLeft()).toBe(0)
}, 120_000)

test('a stop ends with its grace also where Postgres says nothing of the sessions that were lost', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  for (let lost = 1; lost < 5; lost += 1) {
    await waitFor(() => relay.state().database === 'up', patient)
    // Of more than three it is asked whether the first ones are still there.
    if (lost === 4) proxy.pauseBehind('with ordinality as former')
    proxy.breakForClients()
    await waitFor(() => relay.saw('relay.lost').length === lost, patient)
  }
  const isAsked = async () => {
    const { rowCount } = await lane.db.query(
      `select from pg_stat_activity where application_name = $1 and query like '%with ordinality as former%'`,
      [`outbox relay ${lane.name}`],
    )
    return rowCount !== 0
  }
  await waitFor(isAsked, patient)
  await relay.stop({ graceMs: 500 })
  const [stopped] = relay.saw('relay.stopped')
  expect(stopped).toMatchObject({ emptied: false })
  // Without an end of its own the statement is given up after 30 s.
  expect(stopped !== undefined && 'ms' in stopped ? stopped.ms : endless).toBeLessThan(15_000)
}, 120_000)

test('a lane that the relay had is carried at its stop, however many sessions it has lost since', async () => {
  const pod = await addLane('pod')
  const [end, other] = [await keepFilled(pod.id), new pg.Client(database.url)]
  await other.connect()
  onTestFinished(() => other.end())
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(() => tookLanes(relay).includes(pod.name), patient)
  // It gets the lane when the first session ends, and is about to leave it.
  await other.query('select pg_advisory_lock_shared($1, $2)', [lockClasses.adopter, neighbourLocks.leaving])
  const taken = other.query('select pg_advisory_lock($1, $2)', [lockClasses.owner, pod.id])
  for (let lost = 1; lost < 5; lost += 1) {
    await waitFor(() => relay.state().database === 'up', patient)
    await endSession()
    await waitFor(() => relay.saw('relay.lost').length === lost, patient)
    await taken
  }
  await end()
  await waitFor(() => relay.state().database === 'up', patient)
  const stopped = relay.stop({ graceMs: endless })
  await hasLeft(relay, 0)
  await other.end()
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await pod.rowsLeft()).toBe(0)
}, 120_000)
