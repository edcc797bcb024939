import { expect, test } from 'vitest'
import { cloneDatabase, createVhost, emptyDatabase, openBroker } from './index.ts'
import { runOn } from './run-on.ts'

const tables = `select table_name from information_schema.tables where table_schema = 'public' order by table_name`

test('a cloned database has the migrated tables, and its rows are its own', async () => {
  const [one, two] = await Promise.all([cloneDatabase(), cloneDatabase()])
  expect(await runOn(one.url, tables)).toContainEqual({ table_name: 'workflow_job' })
  await runOn(one.url, `insert into outbox_lane (name) values ('mine')`)
  const mine = `select name from outbox_lane where name = 'mine'`
  expect([await runOn(one.url, mine), await runOn(two.url, mine)]).toEqual([[{ name: 'mine' }], []])
  await Promise.all([one.drop(), two.drop()])
  await expect(runOn(one.url, 'select 1')).rejects.toThrow(/does not exist/)
})

test('an empty database has no tables', async () => {
  const { url, drop } = await emptyDatabase()
  expect(await runOn(url, tables)).toEqual([])
  await drop()
})

test('queues of one virtual host are not those of another', async () => {
  const [one, two] = await Promise.all([createVhost(), createVhost()])
  const [first, second] = await Promise.all([openBroker(one.url), openBroker(two.url)])
  await Promise.all([first.declareQueue('same'), second.declareQueue('same')])
  await first.publish('same', { n: 1 }, { messageId: 'a', headers: { traceparent: '00-1' } })
  expect([await first.count('same'), await second.count('same')]).toEqual([1, 0])
  expect(await first.takeAll('same')).toEqual([
    { payload: { n: 1 }, messageId: 'a', headers: { traceparent: '00-1' }, redelivered: false },
  ])
  await first.deleteQueue('same')
  await expect(first.count('same')).rejects.toThrow(/NOT_FOUND/)
  expect(await second.count('same')).toBe(0)
  await Promise.all([first.close(), second.close()])
  await Promise.all([one.drop(), two.drop()])
})
