import * as z from 'zod'
import { workerTaskSchema } from '../no-op/task.ts'

/** What the worker is to serve; it comes as JSON in the only argument. The run's payload says how many items. */
export const fanOutTaskSchema = workerTaskSchema.extend({
  /** Whether the items come in pages with a cursor, or one by one without, so that their jobs are hidden first. */
  kind: z.enum(['pages', 'items']),
  /** Where a CPU profile goes, or null. */
  profileTo: z.string().nullable(),
})

export type FanOutTask = z.infer<typeof fanOutTaskSchema>
