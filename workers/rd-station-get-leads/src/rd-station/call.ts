import type { Http, HttpRequest } from '@esteira/http'
import { readReply, type Reply } from './reply.ts'

/**
 * Makes one call.
 *
 * @throws RdStationError for every failure, and the signal's reason once it is aborted.
 */
export type Call = (request: HttpRequest, signal: AbortSignal) => Promise<Reply>

export const createCall =
  ({ http, now }: { http: Http; now: () => number }): Call =>
  async (request, signal) =>
    readReply(request, await http.send(request, signal), now())
