import type { Connection } from 'amqplib/callback_api'

/** What of a message goes into the frame of its properties. */
export type FramedProperties = { contentType: string; messageId: string; headers: Record<string, unknown> }

/** Says why the properties cannot be sent, or null if they can. */
export type CheckFrame = (properties: FramedProperties) => string | null

/** amqplib writes headers into so many bytes, and throws where they need more. */
const mostHeaderBytes = 65_536

/** All the rest of the largest frame of properties. */
const mostOtherBytes = 1_024

/**
 * Properties go in one frame, whatever they hold, and payloads in as many as it takes. Both ends agree on how large a
 * frame may be. amqplib sends a larger one all the same, and RabbitMQ closes the connection over it, which is the trouble
 * of every message on it.
 */
export const createFrameCheck = (connection: Connection): CheckFrame => {
  const frameMax: unknown = Reflect.get(connection.connection, 'frameMax')
  if (typeof frameMax !== 'number') throw new Error('the connection of amqplib has no frameMax')
  // As it mostly is: nothing has to be counted.
  if (frameMax >= mostHeaderBytes + mostOtherBytes) return () => null
  return (properties) => {
    const bytes = frameBytes(properties)
    return bytes <= frameMax ? null : `its properties need a frame of ${bytes} bytes, and RabbitMQ takes ${frameMax}`
  }
}

/** Around the properties: type, channel, size, class, weight, size of the payload, flags, end. */
const envelopeBytes = 22

/** The delivery mode and the timestamp. */
const fixedBytes = 1 + 8

const frameBytes = ({ contentType, messageId, headers }: FramedProperties): number =>
  envelopeBytes + fixedBytes + shortTextBytes(contentType) + shortTextBytes(messageId) + tableBytes(headers)

const shortTextBytes = (text: string): number => 1 + Buffer.byteLength(text)

const tableBytes = (table: object): number =>
  Object.entries(table).reduce((sum, [name, value]) => sum + shortTextBytes(name) + valueBytes(value), 4)

/** As amqplib encodes the values that JSON can hold: a tag, and what follows it. */
const valueBytes = (value: unknown): number => {
  if (typeof value === 'string') return 1 + 4 + Buffer.byteLength(value)
  if (typeof value === 'number') return 1 + numberBytes(value)
  if (typeof value === 'boolean') return 1 + 1
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + valueBytes(item), 1 + 4)
  return typeof value === 'object' && value !== null ? 1 + tableBytes(value) : 1
}

/** The smallest signed integer that holds it, or a double. */
const numberBytes = (value: number): number => {
  if (!Number.isInteger(value)) return 8
  const bits = [8, 16, 32].find((size) => value >= -(2 ** (size - 1)) && value < 2 ** (size - 1))
  return (bits ?? 64) / 8
}
