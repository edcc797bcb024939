import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { database } from './use-workflows.ts'

const source = join(import.meta.dirname, '../src/main.ts')

/** Starts the program as its pod does; `node` runs its sources unless told otherwise. RabbitMQ is nowhere in its world. */
export const startTick = (env: Record<string, string>, command: readonly string[] = [source]) => {
  const child = spawn(process.execPath, command, {
    env: { DATABASE_URL: database.url, ESTEIRA_LANE: 'cron', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = async () => {
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    return { code: Number(code), said: `${out}${err}`.trim().split('\n').at(-1) ?? '' }
  }
  return { program: child, ended: ended() }
}

/** Runs the program; resolves to its exit code and its last line. */
export const tick = (env: Record<string, string>, command?: readonly string[]) => startTick(env, command).ended
