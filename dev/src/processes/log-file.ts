import { closeSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs'

/**
 * Opens a log for a child to append to by itself: a pipe through the supervisor would break when that one is killed.
 * A log that has grown past `maxBytes` is set aside first, in place of the one set aside before.
 */
export const openLog = (file: string): { descriptor: number; from: number; close: () => void } => {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > maxBytes) renameSync(file, `${file}.old`)
  const descriptor = openSync(file, 'a')
  return { descriptor, from: fstatSync(descriptor).size, close: () => closeSync(descriptor) }
}

const maxBytes = 20 * 1024 * 1024

/** The text of a file from a byte on, at most `limit` bytes of it. */
export const readFrom = (file: string, from: number, limit = 1024 * 1024): Buffer => {
  const descriptor = openSync(file, 'r')
  try {
    const buffer = Buffer.alloc(Math.max(0, Math.min(limit, fstatSync(descriptor).size - from)))
    return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, from))
  } finally {
    closeSync(descriptor)
  }
}

/** The last lines that were written behind a byte: what a process said before it ended, with a stack trace of ten. */
export const lastLines = (file: string, from: number, count = 16): string[] => {
  const size = statSync(file, { throwIfNoEntry: false })?.size
  if (size === undefined) return []
  const text = readFrom(file, Math.max(from, size - 8192)).toString('utf8')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-count)
}
