import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitFor } from '@esteira/test/support'
import { onTestFinished } from 'vitest'

/** Starts a program that is to be killed, at the latest when the test ends, and waits until it says `started`. */
export const startProcess = async (program: string, args: readonly string[]) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  onTestFinished(kill)
  await waitFor(() => said.includes('started'), { describe: 'the worker process', deadlineMs: 30_000 })
  return { kill, said: () => said }
}
