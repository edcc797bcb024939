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

/** What went wrong in a run: the error of one failed job, and how to see all of them at an address of the API. */
export const failureOf = (
  failed: number,
  error: { code: string; message: string } | null,
  address: string,
): string[] => [
  `${counted(failed, 'job')} failed${error === null ? '' : `, the last with ${error.code}: ${error.message}`}`,
  'to see every one while npm start is up (it prints the token):',
  `  curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" '${address}'`,
]

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
