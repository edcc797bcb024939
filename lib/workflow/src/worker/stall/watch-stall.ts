import type fs from 'node:fs'
import inspector from 'node:inspector'
import type v8 from 'node:v8'
import type vm from 'node:vm'
import { Worker } from 'node:worker_threads'

type StallOptions = {
  /** The process, in the line that says that it stood still. */
  name: string
  /** How long the event loop may stand still, milliseconds. */
  stallMs: number
}

/** Between two signs, and between two looks, milliseconds. */
const signMs = 250

/**
 * Kills this process when its event loop stands still for longer than a function may keep it: it answers nobody then, not
 * even a signal, and RabbitMQ has taken its deliveries back already. A thread watches, and says why in a line of the log.
 * A debugger stops the loop on purpose, so with one there is no watch.
 */
export const watchStall = ({ name, stallMs }: StallOptions): { stop: () => void } => {
  if (inspector.url() !== undefined) return { stop: () => {} }
  const signs = new Int32Array(new SharedArrayBuffer(4))
  const facts: Facts = { name, signs, turnMs: signMs, stallMs, pid: process.pid }
  // As text: a file of its own would have to be found again in every bundle, and stripped of its types in the thread.
  const modules = `{ ...require('node:fs'), ...require('node:v8'), ...require('node:vm') }`
  const thread = new Worker(`(${watch.toString()})(require('node:worker_threads').workerData, ${modules})`, {
    eval: true,
    workerData: facts,
    execArgv: [],
    env: {},
  })
  thread.unref()
  const giving = setInterval(() => void Atomics.add(signs, 0, 1), signMs)
  giving.unref()
  return {
    stop: () => {
      clearInterval(giving)
      void thread.terminate()
    },
  }
}

/** What the thread needs of Node. */
type Modules = Pick<typeof fs, 'writeSync'> &
  Pick<typeof v8, 'setFlagsFromString'> &
  Pick<typeof vm, 'runInThisContext'>

type Facts = { name: string; signs: Int32Array; turnMs: number; stallMs: number; pid: number }

/**
 * The thread. It counts its own turns, not milliseconds: when the whole process stood still, as on a laptop that slept,
 * nobody has missed anything. It is run as text, so it sees nothing of this file.
 */
const watch = (
  { name, signs, turnMs, stallMs, pid }: Facts,
  { writeSync, setFlagsFromString, runInThisContext }: Modules,
): void => {
  let seen = -1
  let silentTurns = 0
  setInterval(() => {
    const now = Atomics.load(signs, 0)
    silentTurns = now === seen ? silentTurns + 1 : 0
    seen = now
    if (silentTurns * turnMs < stallMs) return
    const reason = `the event loop stood still for ${stallMs} ms, as in an endless loop of a function; the process is killed`
    const line = { level: 'error', time: new Date().toISOString(), name, event: 'worker.stalled', reason }
    try {
      writeSync(1, `${JSON.stringify(line)}\n`)
    } finally {
      if (pid === 1) {
        // The first process of a container, to which no signal from inside is fatal, SIGKILL included. A trap of the processor
        // is: V8 has one for its own tests, and nothing else that a thread may do ends the whole process.
        setFlagsFromString('--allow-natives-syntax')
        runInThisContext('%SystemBreak()')
      }
      process.kill(pid, 'SIGKILL')
    }
  }, turnMs)
}
