import { existsSync } from 'node:fs'
import { abort, exit } from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { defineFunction, page, runWorker, type StepFunction } from '../../src/index.ts'

/**
 * A worker as people run it, with the functions that its arguments name. A payload says what a function does to its
 * process, or which file it waits for, and any other is its result. One whose name begins with `own` has a unit of work
 * of its own. Those that begin with `pages` and `items` give very many items, with a cursor and without, and do then what
 * their payload says.
 */
const harm: Record<string, () => unknown> = {
  exit: () => exit(7),
  abort: () => abort(),
  loop: () => {
    for (;;);
  },
  memory: () => {
    const kept: number[][] = []
    for (;;) kept.push(Array.from<number>({ length: 1_000_000 }).fill(kept.length))
  },
  // In the worker itself it would take all of the machine.
  buffers: () => {
    if (process.send === undefined) exit(1)
    const kept: Buffer[] = []
    return new Promise(() => setInterval(() => kept.push(Buffer.alloc(16_777_216, 1)), 5))
  },
  uncaught: () => {
    setTimeout(() => {
      throw new TypeError('with a s3cret in its text')
    })
    return new Promise(() => {})
  },
  slow: () =>
    new Promise((resolve) => setTimeout(resolve, 6_000, process.send === undefined ? 'in the worker' : 'apart')),
}

/** Waits until a file is there; gives where it ran. */
const waitForFile = async (path: string): Promise<string> => {
  while (!existsSync(path)) await pause(50)
  return process.send === undefined ? 'in the worker' : 'apart'
}

const waits = z.object({ until: z.string() })

const run = ({ payload }: { payload: unknown }) => {
  const waiting = waits.safeParse(payload)
  return waiting.success ? waitForFile(waiting.data.until) : (harm[String(payload)] ?? (() => payload))()
}

/** So many items are given, and what a payload says is done behind so many. */
const allItems = 35
const itemsBefore = 31

const functionOf = (name: string): StepFunction => {
  const config = z.looseObject({})
  switch (name.split('.')[0]) {
    case 'own':
      return defineFunction({ name, config, unit: 'own', run })
    case 'pages':
      return defineFunction({
        name,
        config,
        cursor: z.int(),
        run: async function* ({ payload, cursor }) {
          for (let item = cursor ?? 0; item < allItems; item += 1) {
            if (item === itemsBefore) await run({ payload })
            yield page([itemOf(item)], item + 1)
          }
        },
      })
    case 'items':
      return defineFunction({
        name,
        config,
        run: async function* ({ payload }) {
          for (let item = 0; item < allItems; item += 1) {
            if (item === itemsBefore) await run({ payload })
            yield itemOf(item)
          }
        },
      })
    default:
      return defineFunction({ name, config, run })
  }
}

/** Ten of them make a page. */
const itemOf = (item: number): string => `${item} ${'.'.repeat(105_000)}`

const functions = process.argv.slice(2).map(functionOf)

process.exitCode = await runWorker(functions, process.env)
