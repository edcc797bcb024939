import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What tells a process apart from a later one that got the same pid: when it was started, and its command line. */
export type Sighting = { started: string; command: string }

/** Looks at a process; undefined when there is none, or only its exit status is left. */
export const sight = (pid: number): Sighting | undefined =>
  process.platform === 'linux' ? sightInProc(pid) : sightByPs(pid)

const sightInProc = (pid: number): Sighting | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold spaces, so the fields are counted from behind it: the state is the third of all,
    // the start time, in ticks since boot, is the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    // After a reboot the same pid at the same tick is another process.
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return { started: `${boot}/${fields[19]}`, command }
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

const sightByPs = (pid: number): Sighting | undefined => {
  try {
    const line = execFileSync('ps', ['-ww', '-o', 'lstart=,state=,command=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C', PATH: '/bin:/usr/bin' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    // `Tue Nov 24 20:26:02 2026 S+ /usr/bin/x -y`
    const [, started, state, command] = /^(\S+ +\S+ +\S+ +\S+ +\d{4}) +(\S+) +(.*)$/.exec(line) ?? []
    if (started === undefined || command === undefined || state?.startsWith('Z') === true) return undefined
    return { started, command }
  } catch (error) {
    // ps exits with 1 when no process has that pid.
    if (error instanceof Error && 'status' in error && error.status === 1) return undefined
    throw error
  }
}

/** ESRCH comes when the process ends between opening and reading. */
const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')
