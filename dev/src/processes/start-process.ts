import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { exitCodes } from '@esteira/service'
import { keepRunning, type KeptProcess, type ProcessPlan } from './keep-running.ts'
import type { Exit } from './keep-up.ts'
import { readFrom } from './log-file.ts'
import type { Registry } from './registry.ts'

/** What happens to a program, with its name. */
export type ProcessEvent =
  | { kind: 'process.started'; name: string; pid: number }
  | { kind: 'process.ready'; name: string; ms: number }
  /** `lastLines` are the end of its log; it is started again after `restartInMs`, or not when that is null. */
  | { kind: 'process.exited'; name: string; exit: Exit; lastLines: string[]; restartInMs: number | null }
  | { kind: 'process.stopped'; name: string }

/** The line with which a program says that it is ready: `event` is `ready`, the rest is its own. */
export type ReadyLine = Record<string, unknown>

/** One of our programs, as its supervisor sees it. */
export type StartedProcess = KeptProcess<ReadyLine> & { name: string }

/**
 * Runs a `main.ts` with this Node, its output appended to `logFile`, and nothing in its environment but `env` and what
 * `inheritable` takes from `inherit`. With `restart` it is started again whenever it falls, unless its environment is
 * at fault. A program whose supervisor is gone ends itself.
 */
export const startProcess = (options: {
  name: string
  script: string
  env: Record<string, string>
  /** The environment of the calling process. */
  inherit: NodeJS.ProcessEnv
  logFile: string
  registry: Registry
  observe: (event: ProcessEvent) => void
  restart: boolean
  /** From SIGTERM to SIGKILL. */
  graceMs?: number
  readyWithinMs?: number
}): StartedProcess => {
  const { name, script, logFile, registry, restart } = options
  const env = { ...inheritable(options.inherit), ...options.env }
  const kept = keepRunning<ReadyLine>({
    name,
    role: 'program',
    mark: script,
    stopSignal: 'SIGTERM',
    graceMs: options.graceMs ?? 15_000,
    logFile,
    spawn: (log) =>
      spawn(process.execPath, ['--import', orphanGuard, script], { env, detached: true, stdio: ['pipe', log, log] }),
    answers: (signal, from) => readyLine(logFile, from, signal),
    readyWithinMs: options.readyWithinMs ?? 60_000,
    restart,
    hopeless: (exit) => exit.kind === 'ended' && exit.code === exitCodes.misconfigured,
    registry,
    observe: (happening) => options.observe(namedEvent(name, happening)),
  })
  return Object.assign(kept, { name })
}

const orphanGuard = new URL('./orphan-guard.ts', import.meta.url).href

const ofMachine = new Set([
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'LANG',
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  'NODE_COMPILE_CACHE',
])

/** Whether and where traces are sent; each program has a name of its own in them. */
const isOfTraces = (name: string): boolean => name.startsWith('OTEL_') && name !== 'OTEL_SERVICE_NAME'

/**
 * What any program needs from the machine it runs on: where to find others, where to keep things, how Node is set up, and
 * where its traces go.
 */
export const inheritable = (env: NodeJS.ProcessEnv): Record<string, string> => {
  const taken: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (ofMachine.has(name) || isOfTraces(name))) taken[name] = value
  }
  return taken
}

const namedEvent = (name: string, happening: Parameters<ProcessPlan<ReadyLine>['observe']>[0]): ProcessEvent => {
  switch (happening.kind) {
    case 'started':
      return { ...happening, kind: 'process.started', name }
    case 'ready':
      return { ...happening, kind: 'process.ready', name }
    case 'exited':
      return { ...happening, kind: 'process.exited', name }
    case 'stopped':
      return { kind: 'process.stopped', name }
  }
}

const readyLine = async (logFile: string, from: number, signal: AbortSignal): Promise<ReadyLine> => {
  let position = from
  for (;;) {
    const chunk = readFrom(logFile, position)
    // Only whole lines; the rest is read again when its end is there.
    const end = chunk.lastIndexOf('\n') + 1
    for (const line of chunk.subarray(0, end).toString('utf8').split('\n')) {
      const fields = line.startsWith('{') ? parseLine(line) : undefined
      if (fields?.['event'] === 'ready') return fields
    }
    position += end
    await delay(40, undefined, { signal })
  }
}

const parseLine = (line: string): ReadyLine | undefined => {
  try {
    const parsed: unknown = JSON.parse(line)
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : undefined
  } catch (error) {
    // A stack trace or a warning may begin with a brace as well.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
