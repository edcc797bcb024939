import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { gather } from '../../worker/gather.ts'
import { limits } from './limits.ts'

/** An expression and what it looks at, as JSON. */
type Asked = { source: string; scope: string }

/** What came of an expression: its value, what JSONata threw, or why it was ended. */
export type Answer =
  | { kind: 'value'; value: unknown }
  | { kind: 'fault'; fault: unknown }
  | { kind: 'ended'; why: string }

/** As many expressions go together, so that a turn of the process costs them little. */
const groupSize = 100

/** As many characters of scopes go together; the process holds them all at once. */
const groupLength = 4_000_000

/** How long an answer may be away beyond the time of an expression: the process has to start, and cores may be busy. */
const patienceMs = 5_000

/**
 * Evaluates an expression in a process of its own, which all expressions of this process share. It is started by the first
 * of them, and anew after one that ended it.
 *
 * @throws Error when something else ended the process; nothing is known of the expression then.
 */
export const evaluateApart = gather({ most: groupSize }, async (group: Asked[]): Promise<Answer[]> => {
  const answers: Answer[] = []
  let most = groupSize
  while (answers.length < group.length) {
    const asked = startOf(group.slice(answers.length, answers.length + most))
    const reply = await ask(asked)
    if (reply.kind === 'died') {
      // Which of them did it is not known: from here on each goes alone.
      if (asked.length === 1) answers.push({ kind: 'ended', why: reply.why })
      most = 1
      continue
    }
    answers.push(...reply.answers)
    // The first had all of the time; one that had only a rest of it begins again.
    if (reply.answers.length === 0) answers.push({ kind: 'ended', why: tooLong })
  }
  return answers
})

const tooLong = `it takes longer than ${limits.apartMs} ms`
const tooLarge = `it needs more memory than ${limits.heapMiB} MiB`

const startOf = (group: readonly Asked[]): Asked[] => {
  let length = 0
  return group.filter(({ scope }, index) => {
    length += scope.length
    return index === 0 || length <= groupLength
  })
}

type Reply = { kind: 'answered'; answers: Answer[] } | { kind: 'died'; why: string }

let running: ChildProcess | undefined

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
  const leave = (): void => {
    if (running === child) running = undefined
  }
  child.on('error', () => {
    // One that was never started does not exit either. It has no pid, which kill(2) may take for our whole group.
    leave()
    if (child.pid !== undefined) child.kill('SIGKILL')
  })
  child.on('exit', leave)
  // It ends by itself when this process does; while an answer is awaited, the clock keeps this one.
  child.unref()
  child.channel?.unref()
  return child
}

const ask = (asked: readonly Asked[]): Promise<Reply> => {
  const child = (running ??= start())
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  let silent = false
  const patience = setTimeout(() => {
    silent = true
    child.kill('SIGKILL')
  }, limits.apartMs + patienceMs)
  const onMessage = (message: unknown) => resolve({ kind: 'answered', answers: answersOf(message) })
  const onExit = (code: number | null, signal: string | null) => {
    if (running === child) running = undefined
    if (silent) resolve({ kind: 'died', why: tooLong })
    // Nobody but V8 ends it so, when the heap is full.
    else if (signal !== null && signal !== 'SIGKILL') resolve({ kind: 'died', why: tooLarge })
    else reject(new Error(`the process that evaluates expressions ended with ${signal ?? `code ${code}`}`))
  }
  const onError = (cause: unknown) =>
    reject(new Error('the process that evaluates expressions cannot be started', { cause }))
  child.once('message', onMessage).once('exit', onExit).once('error', onError)
  const message = { sources: asked.map(({ source }) => source), scopes: asked.map(({ scope }) => scope) }
  // What cannot be sent goes to a process that is about to exit. Where this one may open no file more there is no channel.
  if (child.channel) child.send(message, () => {})
  return promise.finally(() => {
    clearTimeout(patience)
    child.off('message', onMessage).off('exit', onExit).off('error', onError)
  })
}

const replySchema = z.object({ answers: z.array(z.string()), inTime: z.boolean() })
const answerSchema = z.object({ value: z.unknown().optional(), fault: z.unknown().optional() })

const answersOf = (message: unknown): Answer[] =>
  replySchema.parse(message).answers.map((text) => {
    const { value, fault } = answerSchema.parse(JSON.parse(text))
    return fault === undefined ? { kind: 'value', value } : { kind: 'fault', fault }
  })
