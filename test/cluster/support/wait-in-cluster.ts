import { waitFor, type WaitOptions } from '@esteira/test/support'

/**
 * What a look costs the machine, with the servers that answer it, is 5 ms of CPU and more, and what a cluster brings about
 * takes seconds: looks that come as soon as elsewhere would take a fifth of a core from it in each wait.
 */
export const pauseMs = 150

/** Between two looks that are a kubectl each, of 100 ms of CPU and more. */
export const pauseOfKubectlMs = 500

/** Waits as `waitFor` does for what a cluster brings about. */
export const waitInCluster = <T>(condition: Parameters<typeof waitFor<T>>[0], options: WaitOptions): Promise<T> =>
  waitFor(condition, { pauseMs, ...options })
