import { readdirSync, readlinkSync } from 'node:fs'
import { send } from '../../processes/end-process.ts'

/**
 * Ends the backends that a killed Postgres left. One that waits for something ends by itself, but one in the middle of a
 * long query goes on, and as long as it holds the shared memory no new server starts on its data. They work in the data
 * folder and run our program, so they can be told from anybody else's; where there is no /proc to tell them by, they are
 * waited for.
 */
export const endStrayBackends = (data: string, program: string): void => {
  if (process.platform !== 'linux') return
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (Number.isInteger(pid) && linkOf(pid, 'cwd') === data && linkOf(pid, 'exe') === program) send(pid, 'SIGKILL')
  }
}

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
