import { unlessAborted } from '@esteira/service'
import type { Connections } from './connections.ts'
import { DatabaseQueryError } from './errors.ts'
import { executeAlone } from './groups/group-statements.ts'
import type { Call, WritingStatement } from './run-statement.ts'

/** Statements of a connection that no job waits for, at a time; beyond that the next job does wait. */
const most = 200

/** Statements that no job waits for. */
export type Unconfirmed = {
  /**
   * Begins a statement, when there is a place for it, and resolves then; `failed` is told if it fails later. In the server
   * it has so many milliseconds.
   *
   * @throws the reason of the call's signal when it is aborted before that: the statement never begins then.
   */
  begin: (statement: WritingStatement, call: Call, timeoutMs: number, failed: (error: unknown) => void) => Promise<void>
  /** Resolves when none is under way. */
  idle: () => Promise<void>
}

export const runUnconfirmed = (connections: Connections): Unconfirmed => {
  const running = new Map<string, Set<Promise<void>>>()
  const of = (connection: string): Set<Promise<void>> => {
    const known = running.get(connection) ?? new Set<Promise<void>>()
    running.set(connection, known)
    return known
  }

  return {
    begin: async (statement, call, timeoutMs, failed) => {
      const places = of(statement.connection)
      // The job is acked at once, so prefetch does not bound them.
      while (places.size >= most) await unlessAborted(Promise.race(places), call.signal)
      call.signal.throwIfAborted()
      const begun = execute(connections, statement, call, timeoutMs).catch(failed)
      places.add(begun)
      void begun.finally(() => places.delete(begun))
    },
    idle: async () => {
      await Promise.all(Array.from(running.values(), (places) => Promise.all(places)))
    },
  }
}

/** The job is over before the statement is, and its signal with it; so the statement has a time of its own. */
const execute = async (
  connections: Connections,
  statement: WritingStatement,
  call: Call,
  timeoutMs: number,
): Promise<void> => {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(tookTooLong(timeoutMs)), timeoutMs)
  try {
    const outcome = await executeAlone(connections, statement, { ...call, signal: over.signal })
    if (outcome.kind === 'refused') throw outcome.error
    outcome.letGo()
  } finally {
    clearTimeout(timer)
  }
}

const tookTooLong = (ms: number): DatabaseQueryError =>
  new DatabaseQueryError('took_too_long', `config.sql did not end within ${ms} ms`)
