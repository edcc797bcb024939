import { certificateAuthority, runOn, startTlsFront, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { callQuery } from '../test/call-query.ts'
import { log, logged, target, useTarget } from '../test/use-target.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

useTarget('create table lead (id int)', {})

test('a target may be reached by TLS alone, for statements and to cancel one', async () => {
  const front = await startTlsFront(target.url)
  const url = `${front.url}?sslmode=verify-full&sslrootcert=${certificateAuthority}`
  const connections = openConnections(new Map([['crm', url]]), log)
  onTestFinished(async () => {
    await connections.close()
    await front.stop()
  })
  const fn = databaseQuery(connections)
  expect(await callQuery(fn, log, { sql: 'insert into lead values (7) returning id' })).toEqual([{ id: 7 }])

  const stopping = new AbortController()
  const sleeping = callQuery(fn, log, { sql: 'select pg_sleep(600)' }, { signal: stopping.signal })
  const sleepers = () =>
    runOn(
      target.url,
      `select from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`,
    )
  await waitFor(async () => (await sleepers()).length === 1)
  stopping.abort(new Error('the job was cancelled'))
  await expect(sleeping).rejects.toThrow('the job was cancelled')
  await waitFor(async () => (await sleepers()).length === 0)
  expect(logged).toEqual([])
})
