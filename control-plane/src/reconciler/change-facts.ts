import type { Change } from './plan-changes.ts'

/** The id of the step that a change is for. */
export const stepOf = (change: Change): string =>
  change.kind === 'delete' ? change.stepId : change.desired.step.stepId

/** The name of the CronJob that it changes. */
export const objectOf = (change: Change): string =>
  change.kind === 'delete' ? change.name : change.desired.manifest.metadata.name

/** What a trouble is about: the spec that could not be applied, or the removal of what should not be there. */
export const aboutOf = (change: Change): string => (change.kind === 'delete' ? '' : change.desired.hash)

/** Whether somebody else has changed or deleted what is to be written. */
export const isRepair = ({ why }: Change): boolean => why === 'drifted' || why === 'lost'
