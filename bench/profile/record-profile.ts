import { writeFileSync } from 'node:fs'
import { type Profiler, Session } from 'node:inspector'

/** How often to look where this process is, microseconds. */
const intervalUs = 200

/** Profiles this process from now on; the function that it returns ends that and writes what was seen to the file. */
export const recordProfile = (path: string): (() => void) => {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.setSamplingInterval', { interval: intervalUs })
  session.post('Profiler.start')
  return () => {
    session.post('Profiler.stop', (error: Error | null, { profile }: Profiler.StopReturnType) => {
      if (error !== null) throw error
      writeFileSync(path, JSON.stringify(profile))
    })
    session.disconnect()
  }
}
