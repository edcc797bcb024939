import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The folders of a PATH. */
export const foldersOf = (path: string): string[] => path.split(delimiter).filter((folder) => folder !== '')

/** Where a program lies in one of the folders; undefined when it is in none. */
export const findProgram = (name: string, folders: readonly string[]): string | undefined =>
  folders.map((folder) => join(folder, name)).find(isExecutable)

/** Whether a file is there and may be run by us. */
export const isExecutable = (file: string): boolean => {
  if (!existsSync(file)) return false
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return false
    throw error
  }
}
