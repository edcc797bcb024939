/** A frame of AMQP 0-9-1: type, channel (2 bytes), size (4 bytes), payload, an end mark of one byte. */
const headerBytes = 7
const methodFrame = 1
/** The class and method that the payload of a basic.ack begins with: 60 and 80. From a broker it is a confirm. */
const basicAck = 0x003c_0050

/**
 * Watches what a broker sends on one connection. The returned function is fed every byte, in order, and tells whether a
 * publisher confirm has begun in this chunk.
 */
export const createConfirmWatch = (): ((chunk: Buffer) => boolean) => {
  // The end of what came so far that is no whole frame yet.
  let rest = Buffer.alloc(0)
  return (chunk) => {
    let confirmed = false
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= headerBytes) {
      const size = rest.readUInt32BE(3)
      const frameBytes = headerBytes + size + 1
      if (rest.length < frameBytes) break
      if (rest[0] === methodFrame && size >= 4 && rest.readUInt32BE(headerBytes) === basicAck) confirmed = true
      rest = rest.subarray(frameBytes)
    }
    return confirmed
  }
}
