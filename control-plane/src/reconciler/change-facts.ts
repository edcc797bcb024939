import { isDeepStrictEqual } from 'node:util'
import type { Tried } from './carry-out.ts'
import type { Actual, Change } from './plan-changes.ts'

/** The id of the step that a change is for. */
export const stepOf = (change: Change): string =>
  change.kind === 'delete' ? change.stepId : change.desired.step.stepId

/** The name of the CronJob that it changes. */
export const objectOf = (change: Change): string =>
  change.kind === 'delete' ? change.name : change.desired.manifest.metadata.name

/** What a trouble is about: the spec that could not be applied, or the removal of what should not be there. */
export const aboutOf = (change: Change): string => (change.kind === 'delete' ? '' : change.desired.hash)

/**
 * What an apply of something that had drifted came to. `added`: nothing of ours was touched, and what others added stays,
 * as each field belongs to who wrote it.
 */
export const repairOf = ({ change, outcome }: Tried): 'repaired' | 'added' | null => {
  if (!isRepair(change) || outcome.kind !== 'applied') return null
  if (change.kind !== 'apply') return 'repaired'
  return isDeepStrictEqual(writtenOf(outcome.object), writtenOf(change.seen)) ? 'added' : 'repaired'
}

/** What differs where an apply has written something: any change of the spec raises the generation. */
const writtenOf = ({ generation, labels, annotations, owners }: Actual) => ({ generation, labels, annotations, owners })

/** Whether somebody else has changed or deleted what is to be written. */
export const isRepair = ({ why }: Change): boolean => why === 'drifted' || why === 'lost'
