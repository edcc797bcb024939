import { Socket } from 'node:net'

/**
 * A socket to Postgres that breaks after `silenceMs` in which nothing passed, or when `severed` is aborted. A link may be
 * cut without a word, and then neither side ever hears of it. pg's own `query_timeout` is not enough: it gives up the
 * query, but puts its session, which still waits for the answer, back into the pool.
 */
export const patientSocket = (silenceMs: number, severed: AbortSignal | undefined): Socket => {
  const socket = new Socket(severed === undefined ? {} : { signal: severed })
  return socket.setTimeout(silenceMs, () => {
    socket.destroy(Object.assign(new Error(`Postgres said nothing for ${silenceMs} ms`), { code: 'ETIMEDOUT' }))
  })
}
