import { unstorableText } from '@esteira/outbox'
import { reasonOf } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import { sqlState } from '../database/is-transient.ts'
import { type Committed, commitJobs } from '../job/commit-jobs.ts'
import type { Ending, FinishedJob } from '../job/held-job.ts'
import { settleRun } from '../run/settle-run.ts'
import type { DeliverMeans } from './deliver.ts'

/**
 * Commits finished jobs together, ends the runs that are over with them, and says of each job what was written, or null
 * when it was no longer ours.
 */
export const commitGroup = async (
  orm: MikroORM,
  group: readonly FinishedJob[],
  by: { worker: string; lane: number },
  untilDone: DeliverMeans['untilDone'],
): Promise<(Ending | null)[]> => {
  const maybeOver = new Set<string>()
  const commit = async (finished: readonly FinishedJob[]): Promise<Committed> => {
    const committed = await untilDone(() => commitJobs(orm.em.fork(), finished, by))
    for (const runId of committed.maybeOver) maybeOver.add(runId)
    return committed
  }
  const written = await writeGroup(group, commit)
  // Not with the writing: what keeps a run from being ended is no fault of the jobs.
  for (const runId of maybeOver) await untilDone(() => settleRun(orm.em.fork(), runId))
  return written
}

/** A group that the database refuses is written one by one, so that only the job whose result cannot be stored fails. */
const writeGroup = async (
  group: readonly FinishedJob[],
  commit: (finished: readonly FinishedJob[]) => Promise<Committed>,
): Promise<(Ending | null)[]> => {
  try {
    const { won } = await commit(group)
    return group.map((finished) => (won.has(finished) ? finished.ending : null))
  } catch (error) {
    const [first, ...others] = group
    if (first === undefined) throw error
    if (others.length === 0) {
      const failed = rejected(first, error)
      const { won } = await commit([failed])
      return [won.has(failed) ? failed.ending : null]
    }
    const written: (Ending | null)[] = []
    for (const one of group) written.push(...(await writeGroup([one], commit)))
    return written
  }
}

/** The end of a job whose result the database would not take, such as text with a zero byte. */
const rejected = (finished: FinishedJob, error: unknown): FinishedJob => ({
  ...finished,
  ending: {
    kind: 'failed',
    error: { code: 'output_rejected', message: `the result cannot be stored: ${whyRejected(finished, error)}` },
  },
})

/** Of many items Postgres does not say which it means, and a place is told in place of the text. */
const whyRejected = ({ job, ending }: FinishedJob, error: unknown): string => {
  if (!(error instanceof Error) || sqlState(error) === undefined || ending.kind !== 'succeeded') return reasonOf(error)
  const { placed } = ending
  const result =
    'output' in placed ? placed.output : job.step.outputType === 'multiple' ? placed.items : placed.items[0]
  // What was refused has been JSON before.
  const place = unstorableText(JSON.parse(JSON.stringify(result)))
  if (place === null) return reasonOf(error)
  return `its text${place && ` at ${place}`} has a NUL character or half of a surrogate pair`
}
