import { unstorableText } from '@esteira/outbox'
import { reasonOf } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import { sqlState } from '../database/is-transient.ts'
import { type Committed, commitJobs } from '../job/commit-jobs.ts'
import type { Ending, FinishedJob } from '../job/held-job.ts'
import { settleRun } from '../run/settle-run.ts'
import type { DeliverMeans } from './deliver.ts'

/**
 * Commits finished jobs together and says of each what was written, or null when it was no longer ours. A group that the
 * database refuses is committed one by one, so that only the job whose result cannot be stored fails.
 */
export const commitGroup = async (
  orm: MikroORM,
  group: readonly FinishedJob[],
  by: { worker: string; lane: number },
  untilDone: DeliverMeans['untilDone'],
): Promise<(Ending | null)[]> => {
  const commit = async (finished: readonly FinishedJob[]): Promise<Committed> => {
    const committed = await untilDone(() => commitJobs(orm.em.fork(), finished, by))
    for (const runId of committed.maybeOver) await untilDone(() => settleRun(orm.em.fork(), runId))
    return committed
  }
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
    for (const one of group) written.push(...(await commitGroup(orm, [one], by, untilDone)))
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
