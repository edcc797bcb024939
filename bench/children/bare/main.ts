import amqplib from 'amqplib'
import pg from 'pg'
import { startClock, taskSchema } from '../messages.ts'

/**
 * The ceiling of a relay: it reads 500 rows, publishes them and deletes what is confirmed, without a single rule of
 * ours. It owns nothing, so two would publish everything twice; it passes over rows that commit late; a refusal, a
 * return or a lost link ends it.
 */
const { databaseUrl, rabbitmqUrl, lane, window } = taskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const batchRows = 500

const [reader, deleter] = [new pg.Client(databaseUrl), new pg.Client(databaseUrl)]
await Promise.all([reader.connect(), deleter.connect()])
const amqp = await amqplib.connect(rabbitmqUrl, { noDelay: true })
const channel = await amqp.createConfirmChannel()

const failed = Promise.withResolvers<never>()
type State = { inFlight: number; deleted: number; confirmed: string[]; deleting: Promise<void> | null }
const state: State = { inFlight: 0, deleted: 0, confirmed: [], deleting: null }
let wake = () => {}

const deleteConfirmed = async () => {
  while (state.confirmed.length > 0) {
    const ids = state.confirmed
    state.confirmed = []
    const text = 'delete from outbox_message where lane = $1 and id = any($2::bigint[])'
    await deleter.query({ name: 'delete', text, values: [lane.id, ids] })
    state.deleted += ids.length
  }
  state.deleting = null
  wake()
}

/** Waits until the window has room for so many more rows. */
const room = async (rows: number) => {
  while (state.inFlight > window - rows) {
    const woken = Promise.withResolvers<void>()
    wake = woken.resolve
    await Promise.race([woken.promise, failed.promise])
  }
}

const read = async (cursor: string) => {
  const text = `select id, message_id, exchange, routing_key, headers, payload::text from outbox_message
    where lane = $1 and id > $2 order by id limit $3`
  const values = [lane.id, cursor, batchRows]
  const { rows } = await reader.query<[string, string, string, string, object, string]>({
    name: 'read',
    text,
    values,
    rowMode: 'array',
  })
  return rows
}

const clock = startClock()
let cursor = '0'
for (;;) {
  await room(batchRows)
  const rows = await read(cursor)
  for (const [id, messageId, exchange, routingKey, headers, payload] of rows) {
    cursor = id
    state.inFlight += 1
    channel.publish(
      exchange,
      routingKey,
      Buffer.from(payload),
      { persistent: true, mandatory: true, messageId, headers },
      (error: unknown) => {
        if (error !== null) return failed.reject(error)
        state.inFlight -= 1
        state.confirmed.push(id)
        if (state.confirmed.length >= batchRows || state.inFlight === 0) state.deleting ??= deleteConfirmed()
        if (state.inFlight <= window - batchRows) wake()
      },
    )
  }
  if (rows.length < batchRows) break
}
await room(window)
await state.deleting
await deleteConfirmed()
clock.done(state.deleted)
await Promise.all([amqp.close(), reader.end(), deleter.end()])
