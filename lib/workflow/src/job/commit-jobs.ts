import { enqueue, type OutboxMessage, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { gatherMoves, moveCounters } from '../run/move-counters.ts'
import { endJobs } from './end-jobs.ts'
import type { FinishedJob, HeldJob } from './held-job.ts'
import { createJob, jobMessage, newJob } from './new-job.ts'

/** What a unit of work did: the attempts whose end it wrote, and the runs that may be over now. */
export type Committed = { won: Set<FinishedJob>; maybeOver: string[] }

/**
 * Writes finished attempts in one unit of work: their ends, their children, the counters, and the messages that will
 * be published because this commits. A job that somebody else moved meanwhile is left out, children and all.
 */
export const commitJobs = (
  em: EntityManager,
  finished: readonly FinishedJob[],
  by: { worker: string; lane: number },
): Promise<Committed> => em.transactional((tx) => writeEnds(tx, finished, by))

/** The same within a transaction that the caller has begun. */
export const writeEnds = async (
  em: EntityManager,
  finished: readonly FinishedJob[],
  by: { worker: string; lane: number },
): Promise<Committed> => {
  const tx = queryable(em)
  const won = await endJobs(tx, finished, by.worker)
  const moves = gatherMoves()
  const messages: OutboxMessage[] = []
  for (const { job, ending } of won) {
    switch (ending.kind) {
      case 'succeeded':
        moves.add(job.runId, job.step.id, { belt: -1, succeeded: 1 })
        if ('items' in ending.placed) messages.push(...writeChildren(em, job, ending.placed.items, moves))
        break
      case 'failed':
        moves.add(job.runId, job.step.id, { belt: -1, failed: 1 })
        break
      case 'requeued':
        messages.push(jobMessage(job.step.functionName, { ...job, seq: job.seq + 1, delayMs: ending.delayMs }))
        break
    }
  }
  await em.flush()
  const maybeOver = await moveCounters(tx, moves.all())
  await enqueue(em, messages, { lane: by.lane })
  return { won, maybeOver }
}

const writeChildren = (
  em: EntityManager,
  parent: HeldJob,
  items: readonly unknown[],
  moves: ReturnType<typeof gatherMoves>,
): OutboxMessage[] => {
  const next = parent.step.next
  if (next === null) return []
  moves.add(parent.runId, next.id, { belt: items.length })
  return items.map((payload, itemIndex) => {
    const child = newJob({ runId: parent.runId, stepId: next.id, parentId: parent.id, itemIndex, payload })
    createJob(em, child)
    return jobMessage(next.functionName, { ...child, seq: 1 })
  })
}
