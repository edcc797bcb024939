import { ControlPlaneError } from './errors.ts'

/** Nothing was done, since somebody holds a row locked; `held` says who, and which, as `heldText` does. */
export const busy = (code: 'run_busy' | 'workflow_busy', held: string): ControlPlaneError =>
  new ControlPlaneError(code, `${held}. Try again when it is.`)
