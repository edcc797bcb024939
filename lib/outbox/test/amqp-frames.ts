/** Type, channel and size; behind the payload comes an end mark of one byte. */
const headerBytes = 7

/** Before the first frame a client sends `AMQP` and the version. */
export const greetingBytes = 8

/** Takes the bytes of one side of a connection, and gives them by the frame, after so many that are none. */
export const framesOf = (before: number, onFrame: (frame: Buffer, isGreeting: boolean) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  let isGreeted = before === 0
  return (bytes: Buffer): void => {
    rest = Buffer.concat([rest, bytes])
    for (;;) {
      const size = !isGreeted ? before : rest.length < headerBytes ? Infinity : frameBytes(rest)
      if (rest.length < size) return
      const frame = rest.subarray(0, size)
      rest = rest.subarray(size)
      onFrame(frame, !isGreeted)
      isGreeted = true
    }
  }
}

const frameBytes = (bytes: Buffer): number => headerBytes + bytes.readUInt32BE(3) + 1

export const channelOf = (frame: Buffer): number => frame.readUInt16BE(1)

/** The class and the method of a frame, such as `60.80`, or null of one that is no method. */
export const methodOf = (frame: Buffer): string | null =>
  frame[0] === 1 ? `${frame.readUInt16BE(headerBytes)}.${frame.readUInt16BE(headerBytes + 2)}` : null
