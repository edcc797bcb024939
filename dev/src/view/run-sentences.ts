import type { ApiRun } from '../house/api.ts'

/** A count over all steps of a run. */
export const sum = (run: ApiRun, count: (step: ApiRun['steps'][number]) => number): number =>
  run.steps.reduce((total, step) => total + count(step), 0)

/** How far a run is. */
export const progressOf = (run: ApiRun): string => {
  const done = sum(run, ({ succeeded }) => succeeded)
  return `run ${run.id}: ${counted(done, 'job')} done, ${sum(run, ({ staged, belt }) => staged + belt)} waiting`
}

/** That nothing has moved in a run for so many milliseconds, and what one of its jobs waits after. */
export const stillOf = (ms: number, error: string | null): string =>
  `nothing has moved for ${Math.round(ms / 1_000)} s${error === null ? '' : `, the last attempt ended with: ${error}`}`

/** How a run ended. */
export const endOf = (end: { run: string; status: string; jobs: number; leads: number; seconds: number }): string =>
  `run ${end.run} ${end.status}: ${counted(end.jobs, 'job')} in ${end.seconds} s, ${counted(end.leads, 'lead')} saved`

/**
 * What went wrong in a run: the error of one failed job, and how to see all of them at the API of an address, and each
 * attempt at that one.
 */
export const failureOf = (
  run: string,
  failed: number,
  job: { id: string; error: { code: string; message: string } | null } | undefined,
  url: string,
): string[] => {
  const error = job?.error ?? null
  const paths = [`jobs?runId=${run}&status=failed`, ...(job === undefined ? [] : [`jobs/${job.id}/attempts`])]
  return [
    `${counted(failed, 'job')} failed${error === null ? '' : `, the last with ${error.code}: ${error.message}`}`,
    'to see every one, and each attempt at the last, while npm start is up (it prints the token):',
    ...paths.map((path) => `  curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" '${url}/v1/${path}'`),
  ]
}

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
