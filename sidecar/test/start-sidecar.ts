import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

const source = join(import.meta.dirname, '../src/main.ts')

/** The relay as a process of its own, with its lines as they come; it ends with the test. */
export const startSidecar = (env: Record<string, string>, program = source) => {
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const lines: Record<string, unknown>[] = []
  const faults: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line)))
  createInterface(child.stderr).on('line', (line) => faults.push(line))
  const exited = once(child, 'close').then(() => child.exitCode)
  const saw = (event: string) => lines.filter((line) => line.event === event)
  return { child, lines, faults, exited, saw }
}
