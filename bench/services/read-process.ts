import { readdir, readFile } from 'node:fs/promises'

/** What the kernel knows of a process: resident memory in bytes, and its time on a CPU in milliseconds. Linux only. */
export const readProcess = async (pid: number): Promise<{ rss: number; cpuMs: number }> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])
  const threads = await readdir(`/proc/${pid}/task`)
  // By thread, in nanoseconds; the sum in /proc/<pid>/stat counts in steps of 10 ms, half of what is to be measured.
  const times = await Promise.all(
    threads.map(async (thread) =>
      Number((await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')).split(' ')[0]),
    ),
  )
  return { rss: kibibytes * 1_024, cpuMs: times.reduce((sum, time) => sum + time, 0) / 1_000_000 }
}
