import { enqueue, type OutboxMessage, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Span } from '@opentelemetry/api'
import type { FinishedJob } from '../held-job.ts'
import { defaultWindow } from '../../run/settle/window.ts'
import { jobMessage } from '../new-job.ts'
import { endJobs } from './end-jobs.ts'
import { type CounterMove, gatherMoves, moveCounters, runsToSettle } from './move-counters.ts'
import { type PlacedChild, placeChildren } from './place-children.ts'
import { insertWaiting, stageOverflow } from './stage-jobs.ts'
import { type Child, childrenOf, insertChildren } from './write-children.ts'
import { writeHistory } from './write-history.ts'

/** What is written together: the ends of attempts. */
export type Unit = { ends: readonly FinishedJob[] }

/** Who writes it, the outbox lane that its messages go to, and the window of each step. */
export type By = { worker: string; lane: number; window?: number }

/**
 * What a unit of work did: the attempts whose end it wrote, and the runs that are worth settling now. `created` are the spans of
 * the jobs that it brought about, to be ended when it has committed.
 */
export type Written = { won: ReadonlySet<FinishedJob>; toSettle: readonly string[]; created: readonly Span[] }

/**
 * Writes a unit of work in the transaction that the entity manager is in: ends, the history of what did not succeed,
 * children, the messages that will be published because this commits, and the counters. A job that somebody else moved
 * meanwhile is left out, children and all.
 */
export const writeUnit = async (em: EntityManager, { ends }: Unit, by: By): Promise<Written> => {
  const tx = queryable(em)
  const window = by.window ?? defaultWindow
  const won = await endJobs(tx, ends, by.worker)
  await writeHistory(tx, won, by.worker)
  return { won, ...(await writeBrought(em, won, [...won].flatMap(childrenOf), { ...by, window })) }
}

/**
 * Writes what the ends, or a page, of jobs brought about: children, the messages of those and of jobs that come again,
 * and the counters.
 */
export const writeBrought = async (
  em: EntityManager,
  won: ReadonlySet<FinishedJob>,
  brought: readonly Child[],
  { lane, window }: { lane: number; window: number },
): Promise<Omit<Written, 'won'>> => {
  const tx = queryable(em)
  const children = await placeChildren(tx, brought, window)
  await insertChildren(tx, children)
  await insertWaiting(
    tx,
    children.filter(({ status }) => status === 'staged'),
  )
  await enqueue(em, messagesOf(won, children), { lane })
  // Last, since every other unit of the same run waits from this statement until the commit.
  const moved = await moveCounters(tx, movesOf(won, children))
  await stageOverflow(tx, moved, children, window)
  // Of a million children that nobody records, a million spans that end for nothing would be kept.
  const created = children.map((child) => child.created).filter((span) => span.isRecording())
  return { toSettle: runsToSettle(moved, window), created }
}

const messagesOf = (won: ReadonlySet<FinishedJob>, children: readonly PlacedChild[]): OutboxMessage[] => {
  const messages: OutboxMessage[] = []
  for (const { job, ending } of won) {
    const next = { ...job, seq: job.seq + 1 }
    if (ending.kind === 'requeued') messages.push(jobMessage(job.functionName, { ...next, delayMs: ending.delayMs }))
    if (ending.kind === 'continued') messages.push(jobMessage(job.functionName, next))
  }
  for (const child of children) {
    if (child.status === 'queued') messages.push(jobMessage(child.functionName, { ...child, seq: 1 }))
  }
  return messages
}

const counterOf = { queued: 'belt', staged: 'staged', cancelled: 'cancelled' } as const

const movesOf = (won: ReadonlySet<FinishedJob>, children: readonly PlacedChild[]): CounterMove[] => {
  const moves = gatherMoves()
  for (const { job, ending } of won) {
    if (ending.kind === 'requeued' || ending.kind === 'continued') continue
    moves.add(job.runId, job.stepId, { belt: -1, [ending.kind]: 1 })
  }
  for (const { runId, stepId, status } of children) {
    moves.add(runId, stepId, { [counterOf[status]]: 1 })
  }
  return moves.all()
}
