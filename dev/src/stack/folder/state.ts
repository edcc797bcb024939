import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { StackError } from '../errors.ts'

const port = z.int().min(1).max(65_535)

const stateShape = z.object({
  /** Says that the folder is a stack's data folder, and so may be emptied. */
  format: z.literal('esteira-stack/1'),
  /** Of both services, made at the first start. */
  password: z.string().min(1),
  /** RabbitMQ's data belongs to its node's name, so the name stays when the folder is moved. */
  nodeName: z.string().min(1),
  ports: z.object({ postgres: port, rabbitmq: port, management: port, distribution: port, epmd: port }).partial(),
  /** Where each service's data is. */
  sources: z.object({ postgres: z.enum(['docker', 'native']), rabbitmq: z.enum(['docker', 'native']) }).partial(),
  /** A first start of RabbitMQ that was cut short leaves a node without its user: it is begun anew. */
  rabbitmqCreated: z.boolean(),
})

/** What a data folder remembers between starts. */
export type StackState = z.infer<typeof stateShape>

export const newState = (folderHash: string): StackState => ({
  format: 'esteira-stack/1',
  password: randomBytes(16).toString('hex'),
  nodeName: `esteira-${folderHash}@localhost`,
  ports: {},
  sources: {},
  rabbitmqCreated: false,
})

export const stateFile = 'stack.json'

/** Reads a folder's state; undefined when there is none. */
export const readState = (folder: string): StackState | undefined => {
  const file = join(folder, stateFile)
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    return stateShape.parse(JSON.parse(text))
  } catch (cause) {
    throw new StackError(
      'folder_foreign',
      `${file} is not the state of a local stack; remove it or choose another folder`,
      {
        cause,
      },
    )
  }
}

/** Writes a folder's state, whole or not at all. It holds the passwords, so only its owner may read it. */
export const writeState = (folder: string, state: StackState): void => {
  const file = join(folder, stateFile)
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}
