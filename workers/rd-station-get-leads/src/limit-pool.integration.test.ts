import { createRateLimit } from '@esteira/http'
import { cloneDatabase, runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openLimitPool } from './limit-pool.ts'

const nothing = () => {}
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

test('turns that are asked for at the same time are all taken, whatever isolation the database gives to others', async () => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  const name = new URL(database.url).pathname.slice(1)
  await runOn(database.url, `alter database ${name} set default_transaction_isolation = serializable`)
  const pods = Array.from({ length: 4 }, () => openLimitPool(database.url, silent))
  const turns = pods.flatMap((db) => {
    const limit = createRateLimit({ db, name: 'account', calls: 1_000, windowMs: 60_000 })
    return Array.from({ length: 50 }, () => limit.take(new AbortController().signal, 0))
  })
  const taken = await Promise.allSettled(turns)
  await Promise.all(pods.map((db) => db.end()))
  expect(taken.filter(({ status }) => status === 'rejected')).toEqual([])
})
