import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { admin, target, useTarget } from '../test/use-target.ts'
import { toParameters } from './parameters.ts'

useTarget(
  `create table lead (list int[], json jsonb);
   create domain list as int[]; create domain document as jsonb; create domain settings as document not null;
   create table of_domains (list list, json settings)`,
  {},
)

const insert = 'insert into lead values ($1, $2)'

/** A session in a transaction, which waits for locks for so long. */
const session = async (lockMs: number): Promise<Client> => {
  const client = new Client({ connectionString: target.url, options: `-c lock_timeout=${lockMs}` })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('begin')
  return client
}

test('an array is written as its parameter takes it, and as a Postgres array where the server cannot tell', async () => {
  const client = await session(0)
  expect(await toParameters(client, insert, [[[], []]])).toEqual([[[], '[]']])
  expect(await toParameters(client, 'insert into of_domains values ($1, $2)', [[[], []]])).toEqual([[[], '[]']])
  expect(await toParameters(client, 'insert into nowhere values ($1)', [[[]]])).toEqual([[[]]])
})

test('types that a lock keeps from being looked at are not guessed', async () => {
  const client = await session(50)
  await admin.query('begin; lock table lead in access exclusive mode')
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  await expect(toParameters(client, insert, [[[], []]])).rejects.toMatchObject({ code: '55P03' })
})
