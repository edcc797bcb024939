import { leftBytesOf } from '../../job/find-jobs.ts'
import type { HeldJob } from '../../job/held-job.ts'
import { createRoom } from '../attempt/room.ts'

/** A job with its payload, and what is called when nothing of it is needed any more. */
export type Brought = { job: HeldJob; leave: () => void }

/** A payload that was left in the database, by its job, and the memory that it takes, about. */
export type LeftPayload = { id: string; bytes: number }

type BringOptions = {
  /** How many bytes of memory the large payloads of a function may take at a time. */
  roomBytes: number
  /** How long a job waits for room, milliseconds. */
  patienceMs: number
  read: (left: LeftPayload) => Promise<unknown>
}

/**
 * Brings the payload of a job that was too large to come along when the job was found. It waits until its function has
 * room for it, so that memory does not follow the number of deliveries; jobs with small payloads, and those of other
 * functions, pass by. Null when there was no room in time.
 */
export const bringPayloads = ({ roomBytes, patienceMs, read }: BringOptions) => {
  const rooms = new Map<string, ReturnType<typeof createRoom>>()

  return async (job: HeldJob): Promise<Brought | null> => {
    const bytes = leftBytesOf(job.payload)
    if (bytes === null) return { job, leave: () => {} }
    const room = rooms.get(job.functionName) ?? createRoom(roomBytes, patienceMs)
    rooms.set(job.functionName, room)
    const leave = await room.enter(bytes)
    if (leave === null) return null
    try {
      return { job: { ...job, payload: (await read({ id: job.id, bytes })) ?? null }, leave }
    } catch (error) {
      leave()
      throw error
    }
  }
}
