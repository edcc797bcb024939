import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { reasonOf } from '@esteira/service'
import { killRelays } from './relays/kill-relays.ts'
import { readWords, type TrialName } from './words.ts'
import { killWorkflows } from './workflows/kill-workflows.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Of a trial that is told to end all that it started ends first: it would run on, with what it kills, and with the load. */
const told = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => told.abort(new Error(`it was ended by ${signal}`)))

const trials = { relays: killRelays, workflows: killWorkflows }

/** Prints what came of a trial as a line of JSON; the exit code is 1 if there was a fault. */
const run = async (name: TrialName, blows: number, seed: number): Promise<void> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-kills-'))
  say(`${name}, ${blows} blows by the seed ${seed}, logs in ${dataDir}/logs`)
  const { figures, faults } = await trials[name]({ dataDir, blows, seed, say, signal: told.signal })
  const counts = Object.fromEntries(Object.entries(faults).map(([kind, found]) => [kind, found.length]))
  say(JSON.stringify({ kills: name, seed, ...figures, ...counts }))
  if (Object.values(faults).every((found) => found.length === 0)) return rmSync(dataDir, { recursive: true })
  say(`the first faults: ${JSON.stringify(faults).slice(0, 4_000)}`)
  process.exitCode = 1
}

const words = readWords(process.argv.slice(2))
if ('fault' in words) {
  process.stderr.write(`npm run kills [-- relays|workflows] [N] [--seed N]: ${words.fault}\n`)
  process.exitCode = 2
} else {
  try {
    for (const name of words.trials) await run(name, words.blows, words.seed ?? randomInt(2 ** 32))
  } catch (error) {
    if (!told.signal.aborted) throw error
    say(reasonOf(told.signal.reason))
    process.exitCode = 1
  }
}
