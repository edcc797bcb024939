import { existsSync, readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import type { Came } from './compare.ts'

/** The file in which the collector notes what came, a message a line, in the order in which it came. */
export type Received = { path: string; bytes: () => number; read: () => Came[] }

const line = z.object({ key: z.string(), n: z.int(), redelivered: z.boolean(), isWhole: z.boolean() })

export const receivedIn = (path: string): Received => ({
  path,
  bytes: () => statSync(path, { throwIfNoEntry: false })?.size ?? 0,
  read: () => {
    if (!existsSync(path)) return []
    // The last one is the empty rest, or what a kill has left of a line; that message comes again.
    const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    return lines.map((text) => line.parse(JSON.parse(text)))
  },
})
