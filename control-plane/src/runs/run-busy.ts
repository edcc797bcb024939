import type { HeldBy } from '@esteira/workflow'
import { ControlPlaneError } from '../errors.ts'

/** Nothing was done about a run, or a job of it, since somebody holds it locked. */
export const runBusy = (what: string, { heldBy }: HeldBy): ControlPlaneError => {
  const holder = heldBy === null ? 'Somebody' : `Session ${heldBy} of Postgres`
  return new ControlPlaneError(
    'run_busy',
    `${holder} holds ${what} locked: an open transaction is expected to be over within two seconds. Try again when it is.`,
  )
}
