import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'

const usual = resolve(import.meta.dirname, '../../../.esteira')

/**
 * The folder for data and logs: the one that was asked for, as seen from `from`, or `.esteira` beside the code.
 *
 * @throws Error when the folder asked for holds something else: `--fresh` would delete it.
 */
export const dataFolderOf = (asked: string | null, from: string): string => {
  if (asked === null) return usual
  const folder = resolve(from, asked)
  if (isOurs(folder)) return folder
  throw new Error(`${folder} holds something else; --data takes a new folder, an empty one, or one of an earlier start`)
}

/** A start that was killed at once has left a lock and nothing else. */
const isOurs = (folder: string): boolean => {
  if (!existsSync(folder)) return true
  const names = readdirSync(folder)
  return names.includes('stack.json') || names.every((name) => name.startsWith('lock'))
}
