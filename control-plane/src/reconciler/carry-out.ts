import type { NoAnswer } from './cluster/answer.ts'
import type { Anchor } from './cluster/write-cron-jobs.ts'
import type { CronJobs } from './cron-jobs.ts'
import { labels, ownLabels } from './labels.ts'
import type { Actual, Change, Known } from './plan-changes.ts'

/**
 * How a change went. `foreign`: its name is somebody else's. `conflict`: the object is not the one that was seen, so one
 * has to look again.
 */
export type Outcome =
  | { kind: 'applied'; object: Actual }
  | { kind: 'deleted' }
  | { kind: 'foreign'; words: string }
  | { kind: 'conflict' | 'refused'; code: string; words: string }
  | Extract<NoAnswer, { kind: 'later' | 'unknown' }>

export type Bad = Exclude<Outcome, { kind: 'applied' | 'deleted' }>

export const isTrouble = (outcome: Outcome): outcome is Bad => outcome.kind !== 'applied' && outcome.kind !== 'deleted'

/** A change that was tried. */
export type Tried = { change: Change; outcome: Outcome }

type Means = {
  cronJobs: CronJobs
  anchor: Anchor
  known: Known
  database: string
}

/** Makes one change in the cluster. */
export const carryOut = async (change: Change, means: Means): Promise<Outcome> => {
  const { cronJobs, anchor } = means
  if (change.kind === 'delete') {
    const answer = await cronJobs.remove(change)
    // Whoever else removed it: it is not there, and that is what was wanted.
    return answer.kind === 'ok' || answer.kind === 'missing' ? { kind: 'deleted' } : outcomeOf(answer)
  }
  const { manifest } = change.desired
  if (change.kind === 'apply') {
    const outcome = applied(await cronJobs.apply({ manifest, anchor, uid: change.seen.uid }))
    // An object of that name with another uid makes ours a change of the uid, which is invalid.
    return outcome.kind === 'refused' && outcome.code === 'Invalid' ? { ...outcome, kind: 'conflict' } : outcome
  }
  // By its label it is not there. What has its name is ours only if we know it.
  const found = await cronJobs.find(manifest.metadata.name)
  if (found.kind === 'missing') return applied(await cronJobs.apply({ manifest, anchor, uid: null }))
  if (found.kind !== 'ok') return outcomeOf(found)
  if (isOurs(found.value, change.desired.step.stepId, means)) {
    return applied(await cronJobs.apply({ manifest, anchor, uid: found.value.uid }))
  }
  return { kind: 'foreign', words: `there is a CronJob "${found.value.name}" already, and it is not ours` }
}

/** We applied it ourselves and it has lost its labels, or it has them and was made a moment ago by who led before. */
const isOurs = (object: Actual, stepId: string, { anchor, known, database }: Means): boolean =>
  known.get(stepId)?.uid === object.uid ||
  ((object.labels[labels.database] ?? database) === database &&
    Object.entries({ ...ownLabels(anchor.name), [labels.step]: stepId }).every(
      ([name, value]) => object.labels[name] === value,
    ))

const applied = (answer: Awaited<ReturnType<CronJobs['apply']>>): Outcome =>
  answer.kind === 'ok' ? { kind: 'applied', object: answer.value } : outcomeOf(answer)

const outcomeOf = (answer: NoAnswer): Outcome => {
  switch (answer.kind) {
    case 'missing':
      return { kind: 'refused', code: 'NotFound', words: answer.words }
    case 'expired':
      return { kind: 'refused', code: 'Expired', words: answer.words }
    case 'refused':
      return answer.code === 'Conflict' || answer.code === 'AlreadyExists' ? { ...answer, kind: 'conflict' } : answer
    case 'later':
    case 'unknown':
      return answer
  }
}
