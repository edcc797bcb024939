import { EventEmitter } from 'node:events'
import { Client, types } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { aCall, settle } from '../test/a-group.ts'
import { admin, target, useTarget } from '../test/use-target.ts'
import { type Ended, sendRuns } from './send-runs.ts'

useTarget('create table lead (id int, note text)', {})

test('each run of a group has its own rows: none, several, with null, and as JSON reads them', async () => {
  const sql = `insert into lead (id) select generate_series(1, $1::int)
               returning id, nullif(id, 1) as more, id / 2.0 as half, jsonb_build_object('id', id) as document`
  const group = [2, 0, 1].map((count) => aCall([count]))
  expect(await settle(sql, group, { rows: 'wanted' })).toEqual([
    [
      { id: 1, more: null, half: '0.50000000000000000000', document: { id: 1 } },
      { id: 2, more: 2, half: '1.00000000000000000000', document: { id: 2 } },
    ],
    [],
    [{ id: 1, more: null, half: '0.50000000000000000000', document: { id: 1 } }],
  ])
})

test('values of a group are bound as those of a run by itself: null, numbers, texts, JSON and arrays', async () => {
  const sql = `insert into lead (id, note) values ($1, concat_ws(' ', $2::text, $3::jsonb, $4::text[], $5::bool))`
  const group = [1, 2].map((id) => aCall([id, null, { id: [id] }, ['a "b"', null], id === 1]))
  expect(await settle(sql, group)).toEqual([[], []])
  expect((await admin.query('select * from lead order by id')).rows).toEqual([
    { id: 1, note: '{"id": [1]} {"a \\"b\\"",NULL} t' },
    { id: 2, note: '{"id": [2]} {"a \\"b\\"",NULL} f' },
  ])
  // Each by itself they would not go this way.
  expect((await admin.query('select distinct xmin::text from lead')).rowCount).toBe(1)
})

test('runs of a group are parsed once and answered by the server in one piece, as far as none is refused', async () => {
  const client = new Client(target.url)
  await client.connect()
  onTestFinished(() => client.end())
  const connection: unknown = Reflect.get(client, 'connection')
  if (!(connection instanceof EventEmitter)) throw new Error('the driver has no connection')
  const answers: string[] = []
  for (const answer of ['parseComplete', 'commandComplete', 'errorMessage', 'readyForQuery']) {
    connection.on(answer, () => answers.push(answer))
  }
  const send = async (ids: readonly number[]) => {
    const runs: Ended[] = []
    await sendRuns(
      client,
      'insert into lead (id) values (1 / $1::int)',
      ids.map((id) => [id]),
      {
        lookOf: () => ({ count: () => undefined, keep: null }),
        ended: (at, ended) => {
          runs[at] = ended
        },
        stop: () => undefined,
      },
    )
    await client.query('')
    return runs.map((run) => (run.kind === 'given' ? run.given : run.error))
  }
  const none = { rows: [], count: 0, columns: [] }
  expect(await send([1, 2])).toEqual([none, none])
  expect(answers).toEqual([
    'parseComplete',
    'commandComplete',
    'commandComplete',
    'readyForQuery',
    // Of the empty query.
    'readyForQuery',
  ])
  answers.length = 0
  expect(await send([1, 0, 2])).toMatchObject([none, { code: '22012' }, { message: 'a run before it was refused' }])
  expect(answers).toEqual(['parseComplete', 'commandComplete', 'errorMessage', 'readyForQuery', 'readyForQuery'])
})

test('a value that cannot be read here fails its own run, and the others are written', async () => {
  const macaddr = types.builtins.MACADDR
  const usual = types.getTypeParser(macaddr)
  types.setTypeParser(macaddr, (text) => {
    if (text.startsWith('02')) throw new Error('not read')
    return text
  })
  onTestFinished(() => types.setTypeParser(macaddr, usual))
  const sql = `insert into lead (id) values ($1::int) returning ('0' || $1 || ':00:00:00:00:00')::macaddr as address`
  const outcomes = await settle(
    sql,
    [1, 2, 3].map((id) => aCall([id])),
  )
  expect(outcomes).toEqual([
    [{ address: '01:00:00:00:00:00' }],
    new Error('not read'),
    [{ address: '03:00:00:00:00:00' }],
  ])
  expect((await admin.query('select id from lead order by id')).rows).toEqual([{ id: 1 }, { id: 3 }])
})

test('a statement that copies, or is none, ends nothing but its own runs', async () => {
  const twice = () => [aCall([]), aCall([])]
  expect(await settle('copy lead from stdin', twice())).toEqual([expect.any(Error), expect.any(Error)])
  expect(await settle('copy (select 1) to stdout', twice())).toEqual([[], []])
  expect(await settle('-- nothing', twice())).toEqual([[], []])
})
