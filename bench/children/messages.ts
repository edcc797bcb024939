import { z } from 'zod'

/** What a child is to do; it comes as JSON in the only argument. */
export const taskSchema = z.object({
  databaseUrl: z.string(),
  rabbitmqUrl: z.string(),
  lane: z.object({ id: z.int(), name: z.string() }),
  queue: z.string(),
  /** How many rows or messages; null: until SIGTERM. */
  rows: z.int().nullable(),
  window: z.int(),
  payloadBytes: z.int(),
  /** The file for a profile of the work, or null. */
  profileTo: z.string().nullable(),
})

export type Task = z.infer<typeof taskSchema>

/** What a child says, a line of JSON each. */
export const messageSchema = z.discriminatedUnion('kind', [
  /** Some time after the last one: rows done so far, milliseconds since the first, resident memory in bytes. */
  z.object({ kind: z.literal('progress'), rows: z.int(), ms: z.number(), rss: z.int() }),
  /** All rows are done; `cpuUs` is the process's own time, user and system, microseconds. */
  z.object({ kind: z.literal('done'), rows: z.int(), ms: z.number(), cpuUs: z.number() }),
])

export type Message = z.infer<typeof messageSchema>

export const say = (message: Message): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

/** Measures from now on. */
export const startClock = () => {
  const startedMs = performance.now()
  const cpu = process.cpuUsage()
  const ms = () => performance.now() - startedMs
  const cpuUs = () => {
    const { user, system } = process.cpuUsage(cpu)
    return user + system
  }
  return { ms, done: (rows: number) => say({ kind: 'done', rows, ms: ms(), cpuUs: cpuUs() }) }
}
