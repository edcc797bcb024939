import { z } from 'zod'

/** What a process that runs jobs is to do; it comes as JSON in the only argument. */
export const jobTaskSchema = z.object({
  databaseUrl: z.string(),
  rabbitmqUrl: z.string(),
  /** The outbox lane that ours writes to. */
  lane: z.string(),
  /** How many jobs there are, or null: until SIGTERM, and each tells when it starts. */
  jobs: z.int().nullable(),
  /** Whatever a side holds at a time: deliveries, or jobs that it fetched. */
  inHand: z.int(),
  /** The file for a profile of the work, or null. */
  profileTo: z.string().nullable(),
})

export type JobTask = z.infer<typeof jobTaskSchema>

/** What such a process says, a line of JSON each. */
export const jobMessageSchema = z.discriminatedUnion('kind', [
  /** It has what it needs; with a number of jobs, it begins when it is told to go. */
  z.object({ kind: z.literal('ready') }),
  /** A job's function starts, by the clock that all processes of the machine share, milliseconds. */
  z.object({ kind: z.literal('started'), atMs: z.number() }),
  /** All jobs are done and written; `cpuUs` is the process's own time, user and system, microseconds. */
  z.object({ kind: z.literal('done'), jobs: z.int(), ms: z.number(), cpuUs: z.number() }),
])

export type JobMessage = z.infer<typeof jobMessageSchema>

export const say = (message: JobMessage): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

/** The machine's monotonic clock, milliseconds: the same in every process. */
export const sharedMs = (): number => Number(process.hrtime.bigint()) / 1_000_000

/** Says that it is ready, and resolves when it is told to go. */
export const untilGo = async (): Promise<void> => {
  const went = Promise.withResolvers<void>()
  process.stdin.once('data', () => went.resolve())
  say({ kind: 'ready' })
  await went.promise
  process.stdin.destroy()
}

/** Measures from now on. */
export const startJobClock = () => {
  const startedMs = performance.now()
  const cpu = process.cpuUsage()
  return (jobs: number): void => {
    const { user, system } = process.cpuUsage(cpu)
    say({ kind: 'done', jobs, ms: performance.now() - startedMs, cpuUs: user + system })
  }
}

/** What every job carries, on both sides: some 170 bytes as JSON. */
export const jobPayload = (index: number) => ({ i: index, x: 'a'.repeat(150) })

/** The function, or task, of ours and of the controls: it does nothing. */
export const noOpName = 'Bench.noOp'
