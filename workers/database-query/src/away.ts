import { isTransient } from '@esteira/workflow'
import { DatabaseError } from 'pg'
import { DatabaseQueryError } from './errors.ts'

/**
 * Conflicts between writers, objects in use or not ready, a statement that took too long or more files than it may, and a
 * file of the server that is not there, or is: the database is there.
 */
const refusedForNow = /^(40|55)|^(25P04|53400|57014|58P01|58P02)$/

/** Ended by an administrator, by a crash of the server, by one of its time limits, or by a pooler (`08P01`). */
const sessionEnded = /^(57P0[125]|25P03|08P01)$/

/** Whether an error of the driver says that the session it came from is no more. */
export const isSessionLost = (error: unknown): boolean =>
  isAway(error) && !(error instanceof DatabaseError && !sessionEnded.test(error.code ?? ''))

/** Whether an error of the driver says that the database cannot be reached, or that the session with it is lost. */
export const isAway = (error: unknown): boolean => {
  if (error instanceof DatabaseQueryError) return false
  return isTransient(error) && !(error instanceof DatabaseError && refusedForNow.test(error.code ?? ''))
}
