import type { JobError } from '../model/workflow-job.ts'

/** An error as Postgres can store it, without NUL or half of a surrogate pair: no job may fail for good for that. */
export const jobError = (code: string, message: string): JobError => ({
  code: storable(code),
  message: storable(message),
})

const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD')
