import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inheritable } from '@esteira/dev/processes'
import { escapeIdentifier } from 'pg'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { emptyDatabase } from './databases.ts'
import { runOn } from './run-on.ts'
import { createVhost } from './vhosts.ts'
import { waitFor } from './wait-for.ts'

const root = resolve(import.meta.dirname, '../..')

/** How npm itself ended, and all that was printed. */
export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

/** `npm start`, run as a person would run it. */
export type NpmStart = {
  /** Waits for a line of the output, and gives what the pattern's first group holds. */
  said: (line: RegExp, deadlineMs?: number) => Promise<string>
  ended: Promise<Ended>
  /** Ctrl-C: a terminal sends it to npm, its shell and the program alike. */
  interrupt: () => Promise<Ended>
  signalNpm: (signal: NodeJS.Signals) => void
  /** SIGKILL for npm and everything below it at once, services and their helpers too. */
  killTree: () => Promise<void>
}

/**
 * Runs `npm start -- WORDS` in a group of its own, as a shell does, with a shell's environment and `env`. No Docker
 * engine is used, so that every part is a process of this machine.
 */
export const npmStart = (words: readonly string[], env: Record<string, string> = {}): NpmStart => {
  const npm = spawn('npm', ['start', '--', ...words], {
    cwd: root,
    env: { ...inheritable(process.env), DOCKER_HOST: 'unix:///nowhere/docker.sock', ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: collect(npm.stdout), stderr: collect(npm.stderr) }
  // `close` comes when nobody holds the output open any more: every program below npm has ended.
  const ended = new Promise<Ended>((done, fail) => {
    npm.once('error', fail)
    npm.once('close', (code, signal) => done({ code, signal, stdout: output.stdout(), stderr: output.stderr() }))
  })
  return {
    ended,
    said: (line, deadlineMs = 60_000) =>
      waitFor(
        () => {
          const found = new RegExp(line, 'm').exec(output.stdout())
          if (found === null && npm.exitCode !== null) throw new Error(`npm has ended: ${output.stderr()}`)
          return found?.[1] ?? found?.[0]
        },
        { deadlineMs, describe: () => ({ line, stdout: output.stdout(), stderr: output.stderr() }) },
      ),
    interrupt: () => {
      process.kill(-pidOf(npm), 'SIGINT')
      return ended
    },
    signalNpm: (signal) => process.kill(pidOf(npm), signal),
    killTree: async () => {
      if (npm.exitCode === null && npm.signalCode === null) for (const pid of treeOf(pidOf(npm))) kill(pid)
      await ended
    },
  }
}

/** Runs `npm start -- WORDS` to its end, in a test; a start that hangs does not outlive it. */
export const runNpmStart = (words: readonly string[], env: Record<string, string> = {}): Promise<Ended> => {
  const start = npmStart(words, env)
  onTestFinished(start.killTree)
  return start.ended
}

/**
 * A database and a virtual host of the run's servers, until the test is over: for a start of which nothing is claimed that
 * takes servers of its own, which are ten seconds of CPU.
 */
export const serversOfRun = async (): Promise<{ DATABASE_URL: string; RABBITMQ_URL: string }> => {
  const [database, vhost] = await Promise.all([emptyDatabase(), createVhost()])
  // The house makes one beside it for the leads.
  const crm = escapeIdentifier(`${new URL(database.url).pathname.slice(1)}_crm`)
  onTestFinished(async () => {
    await runOn(database.url, `drop database if exists ${crm} with (force)`)
    await Promise.all([database.drop(), vhost.drop()])
  })
  return { DATABASE_URL: database.url, RABBITMQ_URL: vhost.url }
}

const pidOf = ({ pid }: ChildProcess): number => {
  if (pid === undefined) throw new Error('npm could not be started')
  return pid
}

const collect = (stream: NodeJS.ReadableStream): (() => string) => {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  return () => text
}

/** A process and all below it, the ones above first: whoever would start another one again is gone before. */
export const treeOf = (pid: number): number[] => {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/).map(Number))
  const tree = new Set([pid])
  // A set is walked to its end, with what is added on the way.
  for (const above of tree) {
    for (const [child, parent] of rows) if (parent === above && child !== undefined) tree.add(child)
  }
  return [...tree]
}

/** SIGKILL unless another signal is given; a process that has ended meanwhile is no fault. */
export const kill = (pid: number, signal: NodeJS.Signals = 'SIGKILL'): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Whether a process runs. One whose parent has not yet heard of its end is still listed, as a zombie. */
export const isAlive = (pid: number): boolean => {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z')
}

const recorded = z.object({ processes: z.array(z.object({ name: z.string(), pid: z.int() })) })

/** The processes that run for a data folder, by their names. */
export const runningIn = (dataDir: string): Map<string, number> => {
  const { processes } = recorded.parse(JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8')))
  return new Map(processes.map(({ name, pid }) => [name, pid]))
}

const summary = z.strictObject({
  run: z.uuid(),
  status: z.string(),
  jobs: z.int(),
  leads: z.int(),
  seconds: z.number().positive(),
})

/** Reads the line of JSON that `--once` ends with: these keys and no others. */
export const summaryOf = (line: string | undefined): z.infer<typeof summary> => summary.parse(JSON.parse(line ?? ''))
