import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import type { By } from '../../job/unit/write-unit.ts'
import { type Death, describeDeath } from './describe-death.ts'
import { askBy, type Asks, hearSaid, type SaidHooks } from './speak.ts'

/** What a ward tells of the jobs in it, and its end. */
export type WardHooks = SaidHooks & { died: (death: Death) => void }

/** A process apart in which jobs run that may have killed others. It ends with the worker that started it. */
export type Ward = Asks & {
  /** Kills it, and says why. */
  kill: (why: string) => void
  /** Lets it end; it is killed when it does not soon. */
  leave: () => void
}

/** How a ward is started: the worker's own program once more, in its environment. */
export type WardProgram = { path: string; args: readonly string[]; execArgv: readonly string[]; env: NodeJS.ProcessEnv }

export type WardLimits = {
  /** Of its heap. */
  heapMiB: number
  /** Of all its memory. */
  mostMiB: number
  /** How long its event loop may stand still. */
  stallMs: number
}

/** By this variable the program knows that it is to be a ward. */
export const wardVariable = 'ESTEIRA_WARD'

/** Between two looks at a ward, milliseconds. */
const turnMs = 250

/** And between two at its memory: what it takes meanwhile its container has to have, and a job may fill a gigabyte a second. */
const memoryTurnMs = 20

/** How long a ward may take to end by itself, milliseconds: its last spans go out. */
const leaveMs = 3_000

/** How long it may take to start, at least, milliseconds: cores may be busy. */
const startMs = 30_000

/** How long after its end what it said may take to arrive, milliseconds. */
const lastWordsMs = 1_000

/** So much of what a dying process prints is looked at, characters. */
const printedLength = 8_192

export const openWard = (program: WardProgram, limits: WardLimits, by: By, hooks: WardHooks): Ward => {
  const child = startProcess(program, limits.heapMiB)
  let endedFor: string | null = null
  let uncaught: string | null = null
  let printed = ''
  let isReady = false
  let isOver = false
  // Turns, not milliseconds: a worker that stood still itself has the signs of its ward still to read.
  let silentTurns = 0

  const kill = (why: string) => {
    endedFor ??= why
    child.kill('SIGKILL')
  }
  const look = () => {
    silentTurns += 1
    if (silentTurns * turnMs > (isReady ? limits.stallMs : Math.max(limits.stallMs, startMs))) {
      kill(`its event loop stood still for ${limits.stallMs} ms, as in an endless loop, and it was ended`)
    }
  }
  const lookAtMemory = () => {
    const { mostMiB } = limits
    if ((residentMiB(child) ?? 0) > mostMiB) kill(`it took more than ${mostMiB} MiB of memory, and was ended`)
  }
  const looking = [setInterval(look, turnMs), setInterval(lookAtMemory, memoryTurnMs)]

  child.stderr?.on('data', (bytes: Buffer) => {
    process.stderr.write(bytes)
    printed = (printed + bytes.toString('utf8')).slice(-printedLength)
  })
  child.on('message', (message) => {
    silentTurns = 0
    // What it said before it ended comes too late when its jobs have been judged.
    if (isOver) return
    const said = hearSaid(message, hooks)
    if (said?.kind === 'ready') isReady = true
    if (said?.kind === 'uncaught') uncaught = said.name
  })
  const end = (code: number | null, signal: string | null) => {
    if (isOver) return
    isOver = true
    for (const interval of looking) clearInterval(interval)
    hooks.died(describeDeath({ code, signal }, { endedFor, printed, uncaught }))
  }
  // After `exit` there may still be messages and text to read. `close` comes when all of it is, but not while a process that
  // a function has started holds the other end.
  child.on('close', end)
  child.on('exit', (code, signal) => setTimeout(end, lastWordsMs, code, signal).unref())
  child.on('error', (error) => {
    if (child.pid !== undefined) return
    endedFor = error.message
    end(null, null)
  })

  // To a process that is dying nothing can be told, and its end is heard of.
  const asks = askBy((asked) => void child.send(asked, () => {}), by)
  return {
    ...asks,
    kill,
    leave: () => {
      endedFor ??= 'it was let go'
      if (child.connected) child.disconnect()
      const late = setTimeout(() => child.kill('SIGKILL'), leaveMs)
      child.once('exit', () => clearTimeout(late))
    },
  }
}

const startProcess = ({ path, args, execArgv, env }: WardProgram, heapMiB: number): ChildProcess => {
  const child = fork(path, args, {
    // The worker's own heap limit and inspector are not the ward's.
    execArgv: [
      ...execArgv.filter((flag) => !/^--(max-old-space-size|max-heap-size|inspect)/.test(flag)),
      `--max-old-space-size=${heapMiB}`,
    ],
    env: { ...env, [wardVariable]: '1' },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  offerToSystem(child)
  return child
}

/** When memory is short the system is to take the ward, and not the worker with all its other jobs. */
const offerToSystem = ({ pid }: ChildProcess): void => {
  if (pid === undefined || process.platform !== 'linux') return
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '1000')
  } catch {
    // Where that may not be written the system decides as ever.
  }
}

/** What a process has in memory; null where the system does not tell, as on macOS. */
const residentMiB = ({ pid }: ChildProcess): number | null => {
  if (pid === undefined || process.platform !== 'linux') return null
  try {
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return resident === undefined ? null : Number(resident) / 1_024
  } catch {
    // It has just ended.
    return null
  }
}
