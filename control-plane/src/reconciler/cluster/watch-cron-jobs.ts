import * as z from 'zod'
import type { Actual } from '../plan-changes.ts'
import type { NoAnswer } from './answer.ts'
import { accept, answerOf, unknownOf } from './call.ts'
import { cronJobsPath } from './list-cron-jobs.ts'
import type { Cluster } from './open-cluster.ts'
import { readMetadata } from './read-metadata.ts'

/** What a watch tells of an object: how it is now, or how it was when it was deleted. */
export type Seen = { deleted: boolean; object: Actual }

export type Watch = {
  selector: string
  /** Of the list that it goes on from. */
  from: string
  /** How long the server is to keep it open. */
  seconds: number
  onSeen: (seen: Seen) => void
}

/** One whose end the server does not tell after its time is a connection to nowhere. */
const overtimeMs = 5_000

/** Who follows a watch is told of what happens after the list; `ended` is the end that was agreed on. */
export const watchCronJobs = async (
  cluster: Cluster,
  { selector, from, seconds, onSeen }: Watch,
  signal: AbortSignal,
): Promise<{ kind: 'ended' } | NoAnswer> => {
  const query = { watch: 'true', labelSelector: selector, resourceVersion: from, timeoutSeconds: String(seconds) }
  const headers = { accept: accept.metadata }
  const late = AbortSignal.timeout(seconds * 1_000 + overtimeMs)
  try {
    const request = { method: 'GET' as const, path: cronJobsPath(cluster), query, headers }
    const response = await cluster.send(request, AbortSignal.any([signal, late]))
    if (response.statusCode !== 200) return answerOf(response.statusCode, await response.body.text())
    for await (const line of linesOf(response.body)) {
      const { type, object } = event.parse(JSON.parse(line))
      // A server that has forgotten the moment says so within an answer of 200.
      if (type === 'ERROR') return answerOf(failed.parse(object).code, JSON.stringify(object))
      if (type !== 'BOOKMARK') onSeen({ deleted: type === 'DELETED', object: readMetadata(object) })
    }
    return { kind: 'ended' }
  } catch (error) {
    return unknownOf(error, late.aborted ? 'the watch did not end in its time' : undefined)
  }
}

const event = z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']), object: z.unknown() })
const failed = z.object({ code: z.int() })

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => line !== '')
  }
}
