import * as z from 'zod'

/** What the worker is to serve and where; it comes as JSON in the only argument. */
export const workerTaskSchema = z.object({
  databaseUrl: z.string(),
  rabbitmqUrl: z.string(),
  /** The lane's name. */
  lane: z.string(),
  functionName: z.string(),
  window: z.int(),
})

export type WorkerTask = z.infer<typeof workerTaskSchema>
