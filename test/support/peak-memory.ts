import { readFileSync } from 'node:fs'

/**
 * The most memory that this process has had resident so far, MiB.
 *
 * On Linux it is `VmHWM` of proc(5), and not `ru_maxrss` of getrusage(2): that one begins with what the process had that
 * started this one, so that a small program of a large test looks as large as the test.
 */
export const peakMemoryMiB = (): number => {
  if (process.platform !== 'linux') return Math.ceil(process.resourceUsage().maxRSS / 1_024)
  const status = readFileSync('/proc/self/status', 'utf8')
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kibibytes === undefined) throw new Error(`/proc/self/status has no VmHWM, only ${status}`)
  return Math.ceil(Number(kibibytes) / 1_024)
}
