import { enqueue, type OutboxMessage, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { Span } from '@opentelemetry/api'
import type { FinishedJob } from '../held-job.ts'
import { defaultWindow } from './window.ts'
import { jobMessage } from '../new-job.ts'
import { endJobs } from './end-jobs.ts'
import { gatherMoves, moveCounters, runsToSettle } from './move-counters.ts'
import { createPlaces, type PlacedChild } from './place-children.ts'
import { insertWaiting, stageOverflow } from './stage-jobs.ts'
import { type Child, childrenOf, insertChildren } from './write-children.ts'
import { writeHistory } from './write-history.ts'

/** What is written together: the ends of attempts. */
export type Unit = { ends: readonly FinishedJob[] }

/** Who writes it, the outbox lane that its messages go to, and the window of each step. */
export type By = { worker: string; lane: number; window?: number }

/**
 * What a unit of work did: the attempts whose end it wrote, and the runs that are worth settling now. `created` are the
 * spans of the jobs that it brought about, to be ended when it has committed.
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
  return { won, ...(await writeBrought(em, won, childrenOfAll(won), { ...by, window })) }
}

function* childrenOfAll(won: ReadonlySet<FinishedJob>): Generator<Child> {
  for (const one of won) yield* childrenOf(one)
}

/**
 * Children a statement: of a hundred thousand, one alone would be 35 MB of text on either side. Those that wait for their
 * statement outlive the collections meanwhile: a tick of so many takes 119 MiB by 500, 146 by 1,000 and 167 by 2,000.
 */
const pieceSize = 500

/**
 * Writes what the ends, or a page, of jobs brought about: children, the messages of those and of jobs that come again,
 * and the counters. Of the children no more are held than a piece, and those that go onto the belt.
 */
export const writeBrought = async (
  em: EntityManager,
  won: ReadonlySet<FinishedJob>,
  brought: Iterable<Child>,
  { lane, window }: { lane: number; window: number },
): Promise<Omit<Written, 'won'>> => {
  const tx = queryable(em)
  const placesOf = createPlaces(tx, window)
  const moves = movesOf(won)
  const queued: PlacedChild[] = []
  const created: Span[] = []
  for (const piece of piecesOf(brought)) {
    const children = await placesOf(piece)
    await insertChildren(tx, children)
    await insertWaiting(
      tx,
      children.filter(({ status }) => status === 'staged'),
    )
    for (const child of children) {
      const waitsFrom = child.status === 'staged' ? child.id : null
      moves.add(child.runId, child.stepId, { [counterOf[child.status]]: 1, waitsFrom })
      if (child.status === 'queued') queued.push(child)
      // Of a million children that nobody records, a million spans that end for nothing would be kept.
      if (child.created.isRecording()) created.push(child.created)
    }
  }
  await enqueue(em, messagesOf(won, queued), { lane })
  // Last, since every other unit of the same run waits from this statement until the commit.
  const moved = await moveCounters(tx, moves.all())
  await stageOverflow(tx, moved, queued, window)
  return { toSettle: runsToSettle(moved, window), created }
}

function* piecesOf(children: Iterable<Child>): Generator<Child[]> {
  let piece: Child[] = []
  for (const child of children) {
    piece.push(child)
    if (piece.length < pieceSize) continue
    yield piece
    piece = []
  }
  if (piece.length > 0) yield piece
}

const messagesOf = (won: ReadonlySet<FinishedJob>, queued: readonly PlacedChild[]): OutboxMessage[] => {
  const messages: OutboxMessage[] = []
  for (const { job, ending } of won) {
    const next = { ...job, seq: job.seq + 1 }
    if (ending.kind === 'requeued') messages.push(jobMessage(job.functionName, { ...next, delayMs: ending.delayMs }))
    if (ending.kind === 'continued') messages.push(jobMessage(job.functionName, next))
  }
  for (const child of queued) messages.push(jobMessage(child.functionName, { ...child, seq: 1 }))
  return messages
}

const counterOf = { queued: 'belt', staged: 'staged', cancelled: 'cancelled' } as const

const movesOf = (won: ReadonlySet<FinishedJob>): ReturnType<typeof gatherMoves> => {
  const moves = gatherMoves()
  for (const { job, ending } of won) {
    if (ending.kind === 'requeued' || ending.kind === 'continued') continue
    moves.add(job.runId, job.stepId, { belt: -1, [ending.kind]: 1 })
  }
  return moves
}
