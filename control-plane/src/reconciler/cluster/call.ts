import { reasonOf } from '@esteira/service'
import * as z from 'zod'
import type { Answer, NoAnswer } from './answer.ts'
import type { Cluster, ClusterRequest } from './open-cluster.ts'

/** What is wanted of objects: their metadata alone. Specs and statuses are many times as long, and nobody here looks. */
export const accept = {
  metadata: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
  metadataList: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
}

/** From the first byte sent to the last one read. A webhook that checks what is written has 10 s, unless it says so. */
const deadlineMs = 15_000

/** What a server that is asked too much wants to be left alone for, when it does not say. */
const laterMs = 1_000
/** However long it says, somebody may have repaired it meanwhile. */
const longestLaterMs = 60_000

/** The sentence of an answer may quote a whole object. */
const maxWords = 1_000

/** Sends a request and reads the whole answer. It throws nothing: what comes is an answer, or is none. */
export const call = async (
  cluster: Cluster,
  request: ClusterRequest,
  signal: AbortSignal,
): Promise<Answer<unknown>> => {
  const deadline = AbortSignal.timeout(deadlineMs)
  try {
    const response = await cluster.send(request, AbortSignal.any([signal, deadline]))
    const text = await response.body.text()
    if (response.statusCode >= 200 && response.statusCode < 300) return { kind: 'ok', value: JSON.parse(text) }
    return answerOf(response.statusCode, text, [response.headers['retry-after']].flat()[0])
  } catch (error) {
    return unknownOf(error, deadline.aborted ? `no answer within ${deadlineMs / 1_000} s` : undefined)
  }
}

export const unknownOf = (error: unknown, words = reasonOf(error)): NoAnswer => ({ kind: 'unknown', words })

/** An answer that is no success. `text` is a Status of Kubernetes, or what a proxy in between has to say. */
export const answerOf = (status: number, text: string, retryAfter?: string): NoAnswer => {
  const { reason, message } = statusOf(text)
  const words = (message ?? `the API server answered ${status}`).slice(0, maxWords)
  if (status === 404) return { kind: 'missing', words }
  if (status === 410) return { kind: 'expired', words }
  // A server that is about to stop, or a proxy in front of one that did, answers 502 to 504.
  if (status === 429 || (status >= 502 && status <= 504)) return { kind: 'later', words, afterMs: waitOf(retryAfter) }
  return { kind: 'refused', code: reason ?? String(status), words }
}

/** Kubernetes gives whole seconds. */
const waitOf = (retryAfter: string | undefined): number =>
  retryAfter !== undefined && /^\d+$/.test(retryAfter) ? Math.min(Number(retryAfter) * 1_000, longestLaterMs) : laterMs

const statusSchema = z.object({ reason: z.string().min(1).optional(), message: z.string().min(1).optional() })

const statusOf = (text: string): z.output<typeof statusSchema> => {
  try {
    return statusSchema.safeParse(JSON.parse(text)).data ?? {}
  } catch {
    // A proxy's page.
    return {}
  }
}
