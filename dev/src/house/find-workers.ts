import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** It runs when a tick is due, and ends. */
const comesAndGoes = 'cron-job'

/** The long-lived workers in a folder, by name: each of its folders that has a program. */
export const findWorkers = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name !== comesAndGoes && existsSync(join(folder, name, 'src/main.ts')))
    .toSorted()
