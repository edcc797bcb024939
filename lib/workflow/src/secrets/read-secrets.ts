import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WorkflowError } from '../errors.ts'

/**
 * Gives the value of a secret.
 *
 * @throws WorkflowError `secret_missing` with the name and where it was looked for.
 */
export type Secrets = (name: string) => Promise<string>

/** Where a worker's secrets are: files in a folder, and variables by their names in lower case. */
export type SecretPlaces = { directory: string; variables: ReadonlyMap<string, string> }

/**
 * Secrets as Kubernetes and Docker mount them, a file each, or as variables `ESTEIRA_SECRET_<NAME>`. A file is read each
 * time, so one that was replaced holds from the next attempt on. A line end at its end is none of the secret's.
 */
export const readSecrets =
  ({ directory, variables }: SecretPlaces): Secrets =>
  async (name) => {
    const path = join(directory, name)
    const variable = name.replaceAll(/[-.]/g, '_')
    const value = (await contentOf(path)) ?? variables.get(variable.toLowerCase())
    if (value !== undefined && value !== '') return value
    throw new WorkflowError(
      'secret_missing',
      `secret "${name}" ${value === '' ? 'is empty' : 'is not there'}: it was looked for in the file ${path} and in the ` +
        `variable ESTEIRA_SECRET_${variable.toUpperCase()} of the worker`,
    )
  }

const contentOf = async (path: string): Promise<string | undefined> => {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** No such file, or a folder of that name: of a service account, for example. */
const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(String(error.code))
