import { expect, test, vi } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import type { ControlSession } from './control-session.ts'
import { freeLaneLock, lockClasses, tryLaneLock } from './lane-lock.ts'

useLane()

const sessionsWithLock = async (): Promise<number | null> => {
  const { rowCount } = await lane.db.query(
    `select from pg_locks where locktype = 'advisory' and classid::bigint = $1 and objid::bigint = $2
       and database = (select oid from pg_database where datname = current_database())`,
    [lockClasses.owner, lane.id],
  )
  return rowCount
}

const cancelled = () => new Error('canceling statement due to user request')

/** A session whose first statement is cancelled when it is done, and before that is told. */
const cancelledOnce = (session: ControlSession): ControlSession => {
  let isFirst = true
  return {
    ...session,
    query: async (statement, values) => {
      const result = await session.query(statement, values)
      if (!isFirst) return result
      isFirst = false
      throw cancelled()
    },
  }
}

/** And whose second one is cancelled before it has done anything, and so all others. */
const cancelledAgain = (session: ControlSession): ControlSession => ({
  ...session,
  query: vi
    .fn<ControlSession['query']>(() => Promise.reject(cancelled()))
    .mockImplementationOnce(cancelledOnce(session).query),
})

test('a lock that was asked for twice, since the first statement was cancelled, is given back at once', async () => {
  const session = cancelledOnce((await ownLane('owner')).session)
  await expect(tryLaneLock(session, 'owner', lane.id)).rejects.toThrow('canceling statement')
  expect(await sessionsWithLock()).toBe(0)
  expect(await tryLaneLock(session, 'owner', lane.id)).toBe(true)
  expect(await sessionsWithLock()).toBe(1)
  await freeLaneLock(session, 'owner', lane.id)
  expect(await sessionsWithLock()).toBe(0)
})

test('a lock that cannot be given back either ends with the session', async () => {
  const { session } = await ownLane('owner')
  await expect(tryLaneLock(cancelledAgain(session), 'owner', lane.id)).rejects.toThrow('canceling statement')
  expect(session.lost.aborted).toBe(true)
  await expect.poll(sessionsWithLock).toBe(0)
})
