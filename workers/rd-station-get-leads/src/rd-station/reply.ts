import { parseJson, reasonOf } from '@esteira/service'
import { describeIssues } from '@esteira/workflow'
import type { z } from 'zod'
import { RdStationError, type RdStationErrorCode } from './errors.ts'
import {
  classOf,
  retryAfterMs,
  type HttpAnswer,
  type HttpHeaders,
  type HttpOutcome,
  type HttpRequest,
  type HttpClass,
} from '@esteira/http'

/** What came of a call that RD Station answered. A 401 is for the caller to judge: its token may just have run out. */
export type Reply =
  | { kind: 'ok'; headers: HttpHeaders; json: unknown }
  | { kind: 'unauthorized'; error: RdStationError }

/** @throws RdStationError unless the outcome is JSON with a status of success, or a 401. */
export const readReply = (request: HttpRequest, outcome: HttpOutcome, now: number): Reply => {
  const call = callName(request)
  switch (outcome.kind) {
    case 'timeout':
      throw new RdStationError('timeout', `no whole answer within ${outcome.deadlineMs} ms`, { call })
    case 'too_large':
      throw new RdStationError('too_large', `the answer has more than ${outcome.maxBytes} bytes`, { call })
    case 'undecodable': {
      const { status, bytes, charset, encoding } = outcome
      const fault = encoding === null ? `that are not ${charset}` : `in ${encoding}, which was not asked for`
      throw new RdStationError('not_json', `answered ${status} with ${bytes} bytes ${fault}`, { call, status })
    }
    case 'unsendable':
      throw new RdStationError('unsendable', outcome.reason, { call })
    case 'unreachable':
      throw new RdStationError('unreachable', reasonOf(outcome.cause), { call, cause: outcome.cause })
    case 'answered':
      if (classOf(outcome) === 'ok') {
        return { kind: 'ok', headers: outcome.headers, json: parse(call, outcome) }
      }
      if (outcome.status === 401) return { kind: 'unauthorized', error: refusal(request, outcome, now) }
      throw refusal(request, outcome, now)
  }
}

/** The error of an answer with another status than success. */
export const refusal = (request: HttpRequest, answer: HttpAnswer, now: number): RdStationError => {
  const wait = retryAfterMs(answer.headers('retry-after'), now)
  const types = errorTypes(answer.body)
  const answered = ['answered', answer.status, ...types].join(' ')
  const what = wait === undefined ? answered : `${answered}, to be tried again after ${wait} ms`
  return new RdStationError(codeOf(answer), what, {
    call: callName(request),
    status: answer.status,
    types,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  })
}

/**
 * JSON as the API promises it to be.
 *
 * @throws RdStationError that tells where it is not, without the values that came.
 */
export const promised = <T>(schema: z.ZodType<T>, json: unknown, call: string): T => {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  throw new RdStationError('unexpected_shape', describeIssues('answer', parsed.error.issues.slice(0, 3), json), {
    call,
  })
}

/** As it stands in messages. Paths hold ids and page numbers; tokens travel in headers and bodies. */
export const callName = ({ method, path }: HttpRequest): string => `${method} ${path}`

const codeOf = (answer: HttpAnswer): RdStationErrorCode => {
  if (answer.status === 403) return 'forbidden'
  if (answer.status === 404) return 'not_found'
  return codes[classOf(answer)]
}

const codes = {
  ok: 'unexpected_shape',
  redirect: 'redirected',
  unauthorized: 'unauthorized',
  throttled: 'throttled',
  temporary: 'unavailable',
  final: 'rejected',
} as const satisfies Record<HttpClass, RdStationErrorCode>

const parse = (call: string, { status, headers, body }: HttpAnswer): unknown => {
  try {
    return parseJson(body)
  } catch (error) {
    // Too deep is no JSON of theirs either.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
    // The syntax error is left out: it quotes the body, and the body may be a token's.
    const [type = 'no media type'] = mediaType.exec(headers('content-type') ?? '') ?? []
    throw new RdStationError('not_json', `answered ${status} with ${body.length} characters of ${type}, not JSON`, {
      call,
      status,
    })
  }
}

/** What may stand behind it is anybody's. */
const mediaType = /^(application|audio|font|image|message|multipart|text|video)\/[a-z0-9.+-]{1,60}(?=\s*(;|$))/i

/**
 * RD Station's own words for what is wrong, such as `INVALID_REFRESH_TOKEN`. Its error bodies have several shapes with
 * these two names in common. The message beside them is left out, for free text may repeat what was sent.
 */
const errorTypes = (body: string): string[] =>
  [...body.slice(0, 10_000).matchAll(/"(?:error_type|error)"\s*:\s*"([A-Z_]{1,60}|[a-z_]{1,60})"/g)]
    .flatMap(([, type]) => type ?? [])
    .slice(0, 3)
