import { reasonOf } from '@esteira/service'
import { isSessionLost } from './away.ts'
import { DatabaseQueryError } from './errors.ts'

/** A session that is lost under the statement may have been ended by it, and would be again, each time it comes. */
export const underStatement = async <T>(running: Promise<T>): Promise<T> => {
  try {
    return await running
  } catch (error) {
    if (!isSessionLost(error)) throw error
    throw new DatabaseQueryError('session_lost', `the session was lost under config.sql: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}
