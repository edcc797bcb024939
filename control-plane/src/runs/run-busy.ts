import { type HeldBy, heldText } from '@esteira/workflow'
import { ControlPlaneError } from '../errors.ts'

/** Nothing was done about a run, or a job of it, since somebody holds it locked. */
export const runBusy = (what: string, held: HeldBy): ControlPlaneError =>
  new ControlPlaneError('run_busy', `${heldText(what, held)}. Try again when it is.`)
