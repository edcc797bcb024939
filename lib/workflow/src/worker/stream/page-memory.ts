import { mostBytes as mostOfPage } from './limits.ts'

/** The memory that the streams of a process have for their items together. */
export type PageMemory = {
  enter: (stream: Gathering) => PageShare
  /**
   * Says that a job waits for somebody's lock: until what this gives is called, its stream gathers no more. Null for a job
   * that has none.
   */
  holdUp: (jobId: string) => (() => void) | null
  /** Whether with one more of those that wait for locks others would be left less than half of it. */
  isCrowded: () => boolean
}

/** A stream that can be made to write what it has gathered, if it may just now. */
type Gathering = { jobId: string; canFlush: () => boolean; flush: () => void }

/** What one stream has of it. */
export type PageShare = {
  /** Items of so many bytes were gathered. */
  gather: (bytes: number) => void
  /** They are gathered no more: they are being written, or left for the end of their job. */
  pass: (bytes: number) => void
  /** Nothing of them is needed any more. */
  free: (bytes: number) => void
  /** What to wait for before the next item is asked for, if all the memory is taken. */
  room: () => Promise<void> | null
  /** Frees all that the stream still has. */
  leave: () => void
}

type Member = Gathering & { gathered: number; held: number; heldUp: PromiseWithResolvers<void> | null }

/**
 * Memory of so many bytes for all streams of a process, half of it for what they gather. When that is more, the streams
 * that have most write smaller pages than they otherwise would; and when all is taken each waits before it asks its
 * function for another item. So streams by the hundred have what one may have, and an item or a page of a function each
 * that was made already. What is being written becomes free; and of what waits for somebody's lock, which may be for long,
 * there is to be no more than half.
 */
export const createPageMemory = (mostBytes: number): PageMemory => {
  const members = new Set<Member>()
  let gathered = 0
  let held = 0
  let opened = Promise.withResolvers<void>()
  /** What one stream has at most, or may count for where there is little. */
  const mostOfOne = Math.min(2 * mostOfPage, mostBytes / 4)

  const largest = (): Member | null => {
    let found: Member | null = null
    for (const member of members) if (member.gathered > (found?.gathered ?? 0) && member.canFlush()) found = member
    return found
  }

  const flushLargest = (): void => {
    // Each turn has one more with a page under way, which is flushed no more.
    for (;;) {
      const member = gathered > mostBytes / 2 ? largest() : null
      if (member === null) return
      member.flush()
    }
  }

  const free = (bytes: number): void => {
    held -= bytes
    if (held > mostBytes) return
    opened.resolve()
    opened = Promise.withResolvers()
  }

  return {
    enter: (stream) => {
      const member: Member = { ...stream, gathered: 0, held: 0, heldUp: null }
      members.add(member)
      const pass = (bytes: number): void => {
        member.gathered -= bytes
        gathered -= bytes
      }
      return {
        gather: (bytes) => {
          member.gathered += bytes
          member.held += bytes
          gathered += bytes
          held += bytes
          flushLargest()
        },
        pass,
        free: (bytes) => {
          if (!members.has(member)) return
          member.held -= bytes
          free(bytes)
          flushLargest()
        },
        room: () => member.heldUp?.promise ?? (held > mostBytes ? opened.promise : null),
        leave: () => {
          if (!members.delete(member)) return
          pass(member.gathered)
          free(member.held)
        },
      }
    },
    holdUp: (jobId) => {
      const member = [...members].find((one) => one.jobId === jobId)
      if (member === undefined) return null
      const heldUp = Promise.withResolvers<void>()
      member.heldUp = heldUp
      return () => {
        member.heldUp = null
        heldUp.resolve()
      }
    },
    isCrowded: () => {
      let waiting = 0
      for (const member of members) if (member.heldUp !== null) waiting += member.held
      return waiting + mostOfOne > mostBytes / 2
    },
  }
}
