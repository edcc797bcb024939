import { retryAfterMs, type Http, type HttpAnswer, type HttpRequest, type RateLimit } from '@esteira/http'
import { reasonOf } from '@esteira/service'
import { RdStationError } from './errors.ts'
import { callName, readReply, type Reply } from './reply.ts'
import { throttledMs } from './throttled.ts'

/**
 * Makes one call when a connection is free and the account has a turn for it. `atTurn` gives the headers that are not to
 * grow old until then. A 429, or a 503 that says how long, slows down all who use the account.
 *
 * @throws RdStationError for every failure, `throttled` when the turn is too far off as well, and the signal's reason once
 * it is aborted.
 */
export type Call = (request: HttpRequest, signal: AbortSignal, atTurn?: AtTurn) => Promise<Reply>

type AtTurn = () => Promise<HttpRequest['headers']> | HttpRequest['headers']

export type CallOptions = { http: Http; limit: RateLimit; now: () => number }

export const createCall =
  ({ http, limit, now }: CallOptions): Call =>
  async (request, signal, atTurn = () => ({})) => {
    const outcome = await http.send(request, signal, async () => {
      await takeTurn(limit, request, signal)
      return atTurn()
    })
    const pauseMs = outcome.kind === 'answered' ? pauseOf(outcome, now()) : null
    // Where that cannot be told to the others they hear it for themselves; who asked has its answer all the same.
    if (pauseMs !== null) await limit.slowDown(pauseMs).catch(() => undefined)
    return readReply(request, outcome, now())
  }

/** How long an answer asks to be left alone; null if it does not. */
const pauseOf = ({ status, headers }: HttpAnswer, now: number): number | null => {
  const askedMs = retryAfterMs(headers('retry-after'), now)
  return status === 429 || (status === 503 && askedMs !== undefined) ? throttledMs(askedMs) : null
}

const takeTurn = async (limit: RateLimit, request: HttpRequest, signal: AbortSignal): Promise<void> => {
  const turn = await unlessAway(request, () => limit.take(signal, maxTurnMs), signal)
  if (turn.kind === 'now') return
  const message = `the account has room for another call in ${turn.waitMs} ms`
  throw new RdStationError('throttled', message, { call: callName(request), retryAfterMs: turn.waitMs })
}

/** Without the limit no call is made: it is not for one worker to use up what all share. */
const unlessAway = async <T>(request: HttpRequest, ask: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  try {
    return await ask()
  } catch (cause) {
    signal?.throwIfAborted()
    throw new RdStationError('no_turn', `the limit of calls cannot be read: ${reasonOf(cause)}`, {
      call: callName(request),
      cause,
    })
  }
}

/** A turn that is nearer is waited for in place; for one further off the job is put off, and others have its place. */
const maxTurnMs = 15_000
