import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'

/** What takes spans. `stop` ends it, and gives what came. */
export type Receiver = { url: string; stop: () => Promise<Received> }

export type Received = z.output<typeof receivedSchema>

const readySchema = z.object({ url: z.url() })
const receivedSchema = z.object({ requests: z.int(), bytes: z.int() })

export const startReceiver = async (): Promise<Receiver> => {
  const program = fileURLToPath(new URL('../children/otlp/main.ts', import.meta.url))
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => JSON.parse(String((await lines.next()).value))
  const { url } = readySchema.parse(await next())
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM')
      return receivedSchema.parse(await next())
    },
  }
}
