import { spawn } from 'node:child_process'
import { lastLines, openLog } from './log-file.ts'

/**
 * Runs a program to its end, with its output appended to a log.
 *
 * @throws with the last lines of what it said, when it ended with anything but 0.
 */
export const runToEnd = async (
  program: string,
  words: readonly string[],
  options: { env: NodeJS.ProcessEnv; logFile: string; cwd?: string; signal?: AbortSignal },
): Promise<void> => {
  const { logFile, ...rest } = options
  const log = openLog(logFile)
  const child = spawn(program, words, { ...rest, stdio: ['ignore', log.descriptor, log.descriptor] })
  const { promise: ended, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('exit', resolve)
  log.close()
  const code = await ended
  if (code === 0) return
  const said = lastLines(logFile, log.from).join('\n  ')
  throw new Error(`${program} ${words.join(' ')} ended with code ${code}:\n  ${said}`)
}
