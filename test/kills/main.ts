import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { killUnderLoad } from './kill-under-load.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Prints the comparison as a line of JSON; the exit code is 1 if there was a fault. */
const run = async (blows: number): Promise<void> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-kills-'))
  const { lost, invented, overtaken, ...figures } = await killUnderLoad({ dataDir, blows, say })
  say(JSON.stringify({ ...figures, lost: lost.length, invented: invented.length, overtaken: overtaken.length }))
  if (lost.length + invented.length + overtaken.length === 0) return rmSync(dataDir, { recursive: true })
  say(
    `the logs are in ${dataDir}/logs; the first faults: ${JSON.stringify({ lost, invented, overtaken }).slice(0, 2_000)}`,
  )
  process.exitCode = 1
}

const word = process.argv[2] ?? '100'
if (/^[1-9]\d{0,4}$/.test(word)) await run(Number(word))
else {
  process.stderr.write(`npm run kills [-- N]: expected how many blows, a whole number from 1, got "${word}"\n`)
  process.exitCode = 2
}
