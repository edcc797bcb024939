import { resolve } from 'node:path'
import { type ProcessEvent, startProcess, type StartedProcess } from '@esteira/dev/processes'
import type { Stack } from '@esteira/dev/stack'

const root = resolve(import.meta.dirname, '../..')

/**
 * Starts programs on the stack, each by its script, as a path from the root of the repository. One that falls is started
 * again. What is given back is an entry for a map of them by their names.
 */
export const startIn =
  ({ registry, logFile }: Stack, observe: (event: ProcessEvent) => void = () => undefined) =>
  (name: string, script: string, env: Record<string, string>): [string, StartedProcess] => [
    name,
    startProcess({
      name,
      script: resolve(root, script),
      env,
      inherit: process.env,
      logFile: logFile(name),
      registry,
      observe,
      restart: true,
    }),
  ]
