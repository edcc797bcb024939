import { existsSync } from 'node:fs'
import { abort, exit } from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { defineFunction, runWorker } from '../../src/index.ts'

/**
 * A worker as people run it, with the functions that its arguments name; one whose name begins with `own` has a unit of
 * work of its own. A payload says what a function does to its process, or
 * which file it waits for, and any other is its result.
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

const functions = process.argv
  .slice(2)
  .map((name) =>
    name.startsWith('own')
      ? defineFunction({ name, config: z.looseObject({}), unit: 'own', run })
      : defineFunction({ name, config: z.looseObject({}), run }),
  )

process.exitCode = await runWorker(functions, process.env)
