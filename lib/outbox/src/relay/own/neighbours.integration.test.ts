import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { lockClasses } from './lane-lock.ts'
import { createNeighbours } from './neighbours.ts'

useLane()

/** A relay's session by a client that also hears what Postgres warns of. */
const hearing = async () => {
  const client = new pg.Client(database.url)
  await client.connect()
  onTestFinished(() => client.end())
  const warnings: string[] = []
  client.on('notice', ({ message = '' }) => warnings.push(message))
  const { session } = await ownLane('relay')
  const neighbours = createNeighbours({
    ...session,
    query: (statement, values) => client.query({ text: statement.text, values }),
  })
  return { neighbours, warnings }
}

/** Of this database: other tests have theirs on the same server. */
const locks = async () => {
  const { rowCount } = await lane.db.query(
    `select from pg_locks
     where classid::bigint = $1 and database = (select oid from pg_database where datname = current_database())`,
    [lockClasses.adopter],
  )
  return rowCount
}

test('a relay that leaves its neighbours, keeps its lanes and leaves again gives back what it has, and nothing else', async () => {
  const [{ neighbours, warnings }, other] = [await hearing(), await hearing()]
  await neighbours.join()
  await other.neighbours.join()
  expect(await neighbours.leave()).toBe(true)
  expect(await other.neighbours.leave()).toBe(false)
  await neighbours.keepLanes()
  expect(await neighbours.leave()).toBe(false)
  await neighbours.keepLanes()
  await other.neighbours.keepLanes()
  expect(warnings).toEqual([])
  expect(await locks()).toBe(0)
})

test('nor does one whose session began in its stop, and that has never joined them', async () => {
  const { neighbours, warnings } = await hearing()
  expect(await neighbours.leave()).toBe(false)
  expect(warnings).toEqual([])
})

test('one that joins twice and leaves twice, as after tries that failed behind their locks, gives back all at once', async () => {
  const { neighbours, warnings } = await hearing()
  await neighbours.join()
  await neighbours.join()
  expect(await neighbours.leave()).toBe(false)
  expect(await neighbours.leave()).toBe(false)
  expect(await locks()).toBe(1)
  await neighbours.keepLanes()
  expect(await locks()).toBe(0)
  expect(warnings).toEqual([])
})
