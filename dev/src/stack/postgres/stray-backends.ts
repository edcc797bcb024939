import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { send } from '../../processes/end-process.ts'

/** The kernel has to take down the memory of each, milliseconds. */
const goneWithinMs = 5_000

/**
 * Ends what a killed Postgres left and waits until it is gone. A backend that waits for something ends by itself, but one
 * in the middle of a long query goes on, and as long as one of them holds the shared memory no new server starts on its
 * data. They work in the data folder and run our program, so they can be told from anybody else's; where there is no
 * /proc to tell them by, they are waited for.
 */
export const endStrayBackends = async (data: string, program: string): Promise<void> => {
  if (process.platform !== 'linux') return
  const deadline = performance.now() + goneWithinMs
  for (let pids = straysOf(data, program); pids.length > 0; pids = straysOf(data, program)) {
    if (performance.now() > deadline) return
    for (const pid of pids) send(pid, 'SIGKILL')
    await delay(20)
  }
}

const straysOf = (data: string, program: string): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && linkOf(pid, 'cwd') === data && linkOf(pid, 'exe') === program)

const linkOf = (pid: number, link: 'cwd' | 'exe'): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/${link}`)
  } catch (error) {
    // The process has ended, or is another user's and so not ours.
    if (error instanceof Error && 'code' in error && isExpected(error.code)) return undefined
    throw error
  }
}

const isExpected = (code: unknown): boolean =>
  code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM'
