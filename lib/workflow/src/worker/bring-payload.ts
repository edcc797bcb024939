import { leftBytesOf } from '../job/find-jobs.ts'
import type { HeldJob } from '../job/held-job.ts'
import { gather, type Tell } from './gather.ts'
import { createRoom } from './room.ts'

/** A job with its payload, and what is called when nothing of it is needed any more. */
export type Brought = { job: HeldJob; leave: () => void }

type BringOptions = {
  /** How many bytes of memory the large payloads of a function may take at a time. */
  roomBytes: number
  /** How long a job waits for room, milliseconds. */
  patienceMs: number
  /** How many bytes, and how many payloads, are read at a time. */
  mostBytes: number
  most: number
  /** How many reads may be under way, beside one that takes long. */
  atOnce: number
  /** Tells each payload as soon as it is there. */
  read: (ids: readonly string[], tell: Tell<unknown>) => Promise<unknown[]>
}

/**
 * Brings the payload of a job that was too large to come along when the job was found. It waits until its function has
 * room for it, so that memory does not follow the number of deliveries; jobs with small payloads, and those of other
 * functions, pass by. Null when there was no room in time.
 */
export const bringPayloads = ({ roomBytes, patienceMs, mostBytes, most, atOnce, read }: BringOptions) => {
  const rooms = new Map<string, ReturnType<typeof createRoom>>()
  const readOne = gather(
    { most, mostBytes, atOnce, bytesOf: ({ bytes }: { id: string; bytes: number }) => bytes },
    (left, tell: Tell<unknown>) =>
      read(
        left.map(({ id }) => id),
        tell,
      ),
  )

  return async (job: HeldJob): Promise<Brought | null> => {
    const bytes = leftBytesOf(job.payload)
    if (bytes === null) return { job, leave: () => {} }
    const room = rooms.get(job.functionName) ?? createRoom(roomBytes, patienceMs)
    rooms.set(job.functionName, room)
    const leave = await room.enter(bytes)
    if (leave === null) return null
    try {
      return { job: { ...job, payload: (await readOne({ id: job.id, bytes })) ?? null }, leave }
    } catch (error) {
      leave()
      throw error
    }
  }
}
