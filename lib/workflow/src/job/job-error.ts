import type { JobErrorCode } from '../errors.ts'
import type { JobError } from '../model/workflow-job.ts'

/** Some services answer with a whole page, and each attempt keeps its error. */
const mostCharacters = 10_000

/**
 * An error as it is kept: without NUL or half of a surrogate pair, since no job may fail for good for that, and cut
 * where it is longer than anybody reads.
 */
export const jobError = (code: JobErrorCode, message: string): JobError => thrownError(code, message)

/** Likewise one with the code of what was thrown, which may be any. */
export const thrownError = (code: string, message: string): JobError => ({
  code: storable(code),
  message: storable(message),
})

const storable = (text: string): string => cut(text).toWellFormed().replaceAll('\0', '\uFFFD')

const cut = (text: string): string =>
  text.length <= mostCharacters
    ? text
    : `${text.slice(0, mostCharacters)}... (${text.length - mostCharacters} more characters)`
