import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Connection } from 'amqplib/callback_api'

/** What amqplib writes to; its types do not show it. */
export const socketOf = ({ connection }: Connection): Socket => {
  const socket: unknown = Reflect.get(connection, 'stream')
  if (socket instanceof Socket) return socket
  throw new Error('the connection of amqplib has no socket')
}

/**
 * Makes one write of all that is written in one turn of the event loop. amqplib writes each message by itself, and the
 * system call was a fifth of what a message cost the relay.
 */
export const gatherWrites = (stream: Writable): void => {
  const write = stream.write.bind(stream)
  let gathering = false
  const send = () => {
    gathering = false
    stream.uncork()
  }
  const gather = (...chunk: Parameters<typeof write>): boolean => {
    if (!gathering) {
      gathering = true
      stream.cork()
      process.nextTick(send)
    }
    return write(...chunk)
  }
  Object.assign(stream, { write: gather })
}
