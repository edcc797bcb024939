import { enqueue, registerLane } from '@esteira/outbox'
import { migrate } from '@esteira/outbox/migrate'
import pg from 'pg'

// Writes orders, each in a transaction with the message that tells of it. The relay beside this container carries them.
const { DATABASE_URL, ESTEIRA_LANE = 'default', QUEUE = 'orders', ORDERS = '1', PAUSE_MS = '0', STAY } = process.env

const client = new pg.Client(DATABASE_URL)
await client.connect()

const inTransaction = async <T>(work: () => Promise<T>): Promise<T> => {
  await client.query('begin')
  const result = await work()
  await client.query('commit')
  return result
}

await inTransaction(async () => {
  // Pods that start together take turns here, until they commit.
  await migrate(client)
  await client.query('create table if not exists shop_order (id int generated always as identity, pod text not null)')
})
const lane = await registerLane(client, ESTEIRA_LANE)

for (let written = 0; written < Number(ORDERS); written += 1) {
  await inTransaction(async () => {
    const { rows } = await client.query('insert into shop_order (pod) values ($1) returning id', [ESTEIRA_LANE])
    await enqueue(client, { routingKey: QUEUE, payload: { orderId: rows[0].id } }, { lane })
  })
  await new Promise((resolve) => setTimeout(resolve, Number(PAUSE_MS)))
}
await client.end()
process.stdout.write(`${ORDERS} orders are written\n`)

if (STAY === 'yes') {
  const alive = setInterval(() => {}, 60_000)
  process.once('SIGTERM', () => clearInterval(alive))
}
