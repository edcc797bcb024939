import { saveLead } from './examples/save-lead.ts'
import { runWorkerToKill } from './run-worker-to-kill.ts'

/** A worker as a process of its own, to be killed, with the function of the README. */
await runWorkerToKill(saveLead)
