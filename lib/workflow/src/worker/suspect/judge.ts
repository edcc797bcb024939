import type { Death } from './describe-death.ts'

/**
 * How many are in a ward together, stage by stage: at first as many as a worker has by default, since most are innocent;
 * then fewer; then one after the other; and for one that its ward died with, in a process that has had no other.
 */
export const companies = [100, 10, 1, 1] as const

export type Stage = 0 | 1 | 2 | 3

export const lastStage: Stage = 3

/** A ward that dies with a job that it has not begun yet says nothing; so often is that tried again. */
const mostFalseStarts = 3

/**
 * What is known of a suspect: in what company it comes next, how often a ward died with it before it had begun, and how
 * often one that it had to itself was ended by a signal from outside.
 */
export type Suspicion = { stage: Stage; falseStarts: number; killed: number }

/** In what company it died: how many were at work in the ward, and how many had been given to it since its start. */
export type Company = { atWork: number; given: number }

export type Verdict = { kind: 'again'; suspicion: Suspicion } | { kind: 'guilty' } | { kind: 'unknown' }

/**
 * What the death of its ward says of a suspect. Only one that a process dies with that has had no other is guilty, and
 * a signal from outside has to come twice for that. It is unknown of one that never began.
 */
export const judge = (suspicion: Suspicion, hasBegun: boolean, { atWork, given }: Company, death: Death): Verdict => {
  if (!hasBegun) {
    const falseStarts = suspicion.falseStarts + 1
    return falseStarts > mostFalseStarts
      ? { kind: 'unknown' }
      : { kind: 'again', suspicion: { ...suspicion, falseStarts } }
  }
  const wasAlone = atWork === 1 && given === 1
  const killed = suspicion.killed + (wasAlone && !death.isOwn ? 1 : 0)
  if (wasAlone && (death.isOwn || killed > 1)) return { kind: 'guilty' }
  return { kind: 'again', suspicion: { ...suspicion, stage: stageAfter(atWork), killed } }
}

/** The stage for those that were so many at work when their ward died. */
const stageAfter = (atWork: number): Stage => {
  if (atWork === 1) return lastStage
  return atWork > companies[1] ? 1 : 2
}
