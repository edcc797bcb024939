import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import * as z from 'zod'
import { limits } from './limits.ts'
import { takeTurns } from './take-turns.ts'

/** An expression and what it looks at, as JSON. */
type Asked = { source: string; scope: string }

/** The process is gone by nobody's fault who asked, or cannot be started; nothing is known of the expression. */
type Vanished = { kind: 'vanished'; error: Error }

/** What came of an expression: its value, what JSONata threw, or why it was ended. */
export type Answer =
  | { kind: 'value'; value: unknown }
  | { kind: 'fault'; fault: unknown }
  | { kind: 'ended'; why: string }
  | Vanished

/** As many expressions go together, so that a turn of the process costs them little. */
const groupSize = 100

/** As many characters of scopes go together; the process holds them all at once. */
const groupLength = 4_000_000

/** How long an answer may be away beyond the time of an expression: the process has to start, and cores may be busy. */
const patienceMs = 5_000

/** How often it is looked whether that is over. */
const looks = 12

/** So often in a row may the process vanish before that is the answer. */
const mostVanishings = 3

/** Between two of them, milliseconds: who may open no further file has one again soon. */
const vanishedPauseMs = 100

/** Who asks: in the line of which step, and until when. */
export type Asker = {
  line: string
  /** Aborted when nobody wants the answer any more. */
  signal?: AbortSignal | undefined
}

/** One that waits for its answer. */
type Waiting = Asked &
  Asker & {
    /** It was among those of which one ended the process. */
    goesAlone: boolean
    settled: PromiseWithResolvers<Answer>
  }

/** All that wait for an answer; those under way are among them. */
const waiting = takeTurns(({ line }: Waiting) => line)

/**
 * Lines of which the last expression that was tried took the time of its group, or what the others had left of it. One of
 * them has a turn by itself, and then all that wait in the other lines.
 */
const slow = new Set<string>()
let isTurnOfSlow = false

let isWorking = false

/**
 * Evaluates an expression in a process of its own, which all expressions of this process share. It is started by the first
 * of them, and anew after one that ended it, or when something else did. Lines have turns, so that a step whose expressions
 * take long holds up all those of another by one of them.
 *
 * @throws the signal's reason, once it is aborted: the expression leaves the line, as nobody wants its value any more.
 */
export const evaluateApart = async (asked: Asked, { line, signal }: Asker): Promise<Answer> => {
  signal?.throwIfAborted()
  const one: Waiting = { ...asked, line, signal, goesAlone: false, settled: Promise.withResolvers<Answer>() }
  const withdraw = () => {
    waiting.withdraw(one)
    one.settled.reject(signal?.reason)
  }
  signal?.addEventListener('abort', withdraw, { once: true })
  waiting.add(one)
  if (!isWorking) void context.with(ROOT_CONTEXT, work)
  try {
    return await one.settled.promise
  } finally {
    signal?.removeEventListener('abort', withdraw)
  }
}

/** Goes on until nobody waits. It is in nobody's trace: it would be in that of whoever came first, for all of them. */
const work = async (): Promise<void> => {
  isWorking = true
  // What is asked for in one turn of the event loop goes together.
  await turn()
  let vanishings = 0
  while (!waiting.isEmpty()) {
    const group = nextGroup()
    const reply = await ask(group).catch(unstarted)
    if (reply.kind === 'answered') {
      vanishings = 0
      // The first had all of the time; one that had only a rest of it begins again.
      const ended: Answer[] = reply.answers.length === 0 ? [{ kind: 'ended', why: tooLong }] : reply.answers
      markSlow(group, reply.answers.length)
      tell(group, ended)
      continue
    }
    if (reply.kind === 'unwanted') continue
    if (reply.kind === 'died') {
      if (group.length === 1) tell(group, [{ kind: 'ended', why: reply.why }])
    } else {
      vanishings += 1
      // One that takes all the memory that the system has would vanish for the others as well.
      if (group.length === 1 && vanishings >= mostVanishings) tell(group, [reply])
      else await pause(vanishedPauseMs)
    }
    // Which of them did it is not known: from here on each goes alone.
    for (const one of group) one.goesAlone = true
  }
  slow.clear()
  isWorking = false
}

/** Of a group so many were answered, and the next one, if there is one, took what was left of the time. */
const markSlow = (group: readonly Waiting[], answered: number): void => {
  for (const { line } of group.slice(0, answered)) slow.delete(line)
  const last = group[answered]
  if (last !== undefined) slow.add(last.line)
}

/** Whose turns are next, as many as go together. */
const nextGroup = (): Waiting[] => {
  const first = waiting.inOrder().find(({ line }) => slow.has(line))
  const group = first !== undefined && isTurnOfSlow ? [] : quickGroup()
  isTurnOfSlow = group.length > 0
  return group.length === 0 && first !== undefined ? [first] : group
}

const quickGroup = (): Waiting[] => {
  const group: Waiting[] = []
  let length = 0
  for (const one of waiting.inOrder()) {
    if (slow.has(one.line)) continue
    length += one.scope.length
    const fits = group.length < groupSize && length <= groupLength && !one.goesAlone
    if (group.length > 0 && !fits) break
    group.push(one)
    if (one.goesAlone) break
  }
  return group
}

/** What came of the first of a group. Who was withdrawn meanwhile does not hear it. */
const tell = (group: readonly Waiting[], answers: readonly Answer[]): void => {
  for (const [index, answer] of answers.entries()) {
    const one = group[index]
    if (one === undefined) return
    waiting.served(one)
    one.settled.resolve(answer)
  }
}

const tooLong = `it takes longer than ${limits.apartMs} ms`
const tooLarge = `it needs more memory than ${limits.heapMiB} MiB`

type Reply = { kind: 'answered'; answers: Answer[] } | { kind: 'died'; why: string } | { kind: 'unwanted' } | Vanished

let running: ChildProcess | undefined

/** The next expressions go to another. */
const leave = (child: ChildProcess): void => {
  if (running === child) running = undefined
}

/** Compiled where this is compiled: in a package that others install there are no sources. */
const childProgram = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

const start = (): ChildProcess => {
  const child = fork(childProgram, {
    execArgv: [`--max-old-space-size=${limits.heapMiB}`],
    env: {},
    // What V8 prints when its heap is full would stand between the lines of the log.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    serialization: 'advanced',
  })
  child.on('error', () => {
    // One that was never started does not exit either. It has no pid, which kill(2) may take for our whole group.
    leave(child)
    if (child.pid !== undefined) child.kill('SIGKILL')
  })
  child.on('exit', () => leave(child))
  // It ends by itself when this process does; while an answer is awaited, the clock keeps this one.
  child.unref()
  child.channel?.unref()
  return child
}

/** Where memory is short, Node throws what it tells of by an event elsewhere. */
const unstarted = (cause: unknown): Vanished => ({ kind: 'vanished', error: vanishedError('cannot be started', cause) })

const vanishedError = (how: string, cause?: unknown): Error =>
  new Error(`the process that evaluates expressions ${how}`, { cause })

const ask = async (asked: readonly (Asked & Asker)[]): Promise<Reply> => {
  const child = (running ??= start())
  const { promise, resolve } = Promise.withResolvers<Reply>()
  let silent = false
  let looked = 0
  // Not one timer: an answer that came while our own event loop stood still is read behind all timers that are due then.
  const patience = setInterval(
    () => {
      looked += 1
      if (looked < looks) return
      silent = true
      leave(child)
      child.kill('SIGKILL')
    },
    (limits.apartMs + patienceMs) / looks,
  )
  const onMessage = (message: unknown) => resolve({ kind: 'answered', answers: answersOf(message) })
  const vanish = (how: string, cause?: unknown) => resolve({ kind: 'vanished', error: vanishedError(how, cause) })
  const onExit = (code: number | null, signal: string | null) => {
    leave(child)
    if (silent) resolve({ kind: 'died', why: tooLong })
    // Nobody but V8 ends it so, when the heap is full.
    else if (signal !== null && signal !== 'SIGKILL') resolve({ kind: 'died', why: tooLarge })
    else vanish(`ended with ${signal ?? `code ${code}`}`)
  }
  const onError = (cause: unknown) => vanish('cannot be started', cause)
  // To its time one that nobody wants any more would hold up the others, and a process is begun sooner than that is over.
  const onAbort = () => {
    if (!asked.every(({ signal }) => signal?.aborted)) return
    leave(child)
    child.kill('SIGKILL')
    resolve({ kind: 'unwanted' })
  }
  child.once('message', onMessage).once('exit', onExit).once('error', onError)
  for (const { signal } of asked) signal?.addEventListener('abort', onAbort)
  const message = { sources: asked.map(({ source }) => source), scopes: asked.map(({ scope }) => scope) }
  // What cannot be sent goes to a process that is about to exit. Where this one may open no file more there is no channel.
  if (child.channel) child.send(message, () => {})
  return promise.finally(() => {
    clearInterval(patience)
    child.off('message', onMessage).off('exit', onExit).off('error', onError)
    for (const { signal } of asked) signal?.removeEventListener('abort', onAbort)
  })
}

const replySchema = z.object({ answers: z.array(z.string()), inTime: z.boolean() })
const answerSchema = z.object({ value: z.unknown().optional(), fault: z.unknown().optional() })

const answersOf = (message: unknown): Answer[] =>
  replySchema.parse(message).answers.map((text) => {
    const { value, fault } = answerSchema.parse(JSON.parse(text))
    return fault === undefined ? { kind: 'value', value } : { kind: 'fault', fault }
  })
