/** A value as the server gets it: text, bytes, or null for what is none. */
export type Bound = string | Buffer | null

/** Of a run with `$1`, `$2` ...: the heads of both messages, and what stands between the values, bytes. */
const [bytesOfRun, bytesOfValue] = [5 + 2 + 2 + 2 + 4 + 10, 2 + 4]

/**
 * The messages Bind and Execute of each run, for the statement without a name, as one piece of bytes. Made by `pg` each
 * would be a buffer and a part of the write to the socket: 1.3 to 1.8 us of CPU a run by itself, and 1.0 to 1.2 so.
 */
export const bindRuns = (runs: readonly (readonly Bound[])[]): Buffer => {
  const sizes = runs.map(sizeOf)
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + size, 0))
  let at = 0
  for (const [index, values] of runs.entries()) at = writeRun(bytes, at, values, sizes[index] ?? 0)
  return bytes
}

const sizeOf = (values: readonly Bound[]): number => {
  let size = bytesOfRun
  for (const value of values) size += bytesOfValue + (value === null ? 0 : Buffer.byteLength(value))
  return size
}

const writeRun = (bytes: Buffer, begin: number, values: readonly Bound[], size: number): number => {
  let at = bytes.writeUInt8(bindCode, begin)
  at = bytes.writeInt32BE(size - executeMessage.length - 1, at)
  // Neither the portal nor the statement has a name.
  at = bytes.writeUInt16BE(0, at)
  at = bytes.writeUInt16BE(values.length, at)
  for (const value of values) at = bytes.writeUInt16BE(value instanceof Buffer ? 1 : 0, at)
  at = bytes.writeUInt16BE(values.length, at)
  for (const value of values) at = writeValue(bytes, at, value)
  // What comes back is text, all of it.
  at = bytes.writeUInt32BE(0x0001_0000, at)
  return at + executeMessage.copy(bytes, at)
}

const writeValue = (bytes: Buffer, at: number, value: Bound): number => {
  if (value === null) return bytes.writeInt32BE(-1, at)
  const written = typeof value === 'string' ? bytes.write(value, at + 4) : value.copy(bytes, at + 4)
  return bytes.writeInt32BE(written, at) + written
}

const bindCode = 0x42

/** To its last row. */
const executeMessage = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0])
