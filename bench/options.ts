import { parseArgs } from 'node:util'
import { didYouMean } from '@esteira/service'

/** The questions that there are answers to, in the order in which they are asked. */
export const benchNames = [
  'relay',
  'mixed',
  'bell',
  'pinned',
  'latency',
  'idle',
  'takeover',
  'backlog',
  'jobs',
  'leads',
  'traced',
  'database-query',
  'one-run',
  'job-latency',
  'fair',
  'fan-out',
  'tick',
] as const

export type BenchName = (typeof benchNames)[number]

export type BenchOptions = {
  /** Rows of a drain, jobs of a run; each bench has a number of its own unless one is given. */
  rows: number | null
  /** Messages in flight, on both sides of a comparison. */
  window: number
  /** Ours and the control are measured so many times, in turns. */
  rounds: number
  /** How many owners `takeover` kills; 20, or 100 with `full`. */
  kills: number | null
  /** The numbers of docs/performance.md instead of those for a look: more rows, more kills. */
  full: boolean
  /** With `relay`, `jobs` or `fan-out`: the same once more under Node's profiler, and where the time went. */
  profile: boolean
}

export type ReadOptions =
  | { ok: true; names: readonly BenchName[]; options: BenchOptions }
  | { ok: false; problems: string[] }

const known = {
  rows: { type: 'string' },
  window: { type: 'string' },
  rounds: { type: 'string' },
  kills: { type: 'string' },
  full: { type: 'boolean' },
  profile: { type: 'boolean' },
} as const

export const usage = `npm run bench [-- NAME ... options]

  NAME        ${benchNames.join(', ')}; all of them unless one is named
  --rows N    rows of a drain (relay 200,000; mixed 100,000; backlog 1,000,000, or 5,000,000 with --full), jobs
              (jobs 20,000; one-run 40,000; leads, traced and database-query 10,000), or jobs of the large run of fair and of
              fan-out (100,000, or 1,000,000 with --full)
  --window N  messages in flight (default 2000)
  --rounds N  how often ours and the control take turns (default 3)
  --kills N   owners that takeover kills (default 20, or 100 with --full)
  --full      as many rows and kills as the numbers in docs/performance.md are for
  --profile   with relay, jobs and fan-out: where the time of the relay's or the worker's process goes
`

/** Reads the words behind `npm run bench --`: the names and options, or every problem with them, a line each. */
export const readOptions = (words: readonly string[]): ReadOptions => {
  const { tokens } = parseArgs({
    args: [...words],
    options: known,
    strict: false,
    tokens: true,
    allowPositionals: true,
  })
  const problems: string[] = []
  const names: BenchName[] = []
  const options: BenchOptions = { rows: null, window: 2_000, rounds: 3, kills: null, full: false, profile: false }
  for (const token of tokens) {
    if (token.kind === 'positional') {
      const name = benchNames.find((each) => each === token.value)
      if (name !== undefined) names.push(name)
      else problems.push(`there is no bench "${token.value}"${didYouMean(token.value, benchNames)}`)
    }
    if (token.kind !== 'option') continue
    switch (token.name) {
      case 'full':
      case 'profile':
        if (token.value === undefined) options[token.name] = true
        else problems.push(`--${token.name} takes no value, "${token.value}" came`)
        break
      case 'rows':
      case 'window':
      case 'rounds':
      case 'kills': {
        const number = Number(token.value)
        if (Number.isInteger(number) && number >= 1 && number <= 100_000_000) options[token.name] = number
        else problems.push(`--${token.name}: expected a whole number from 1 to 100,000,000, got "${token.value ?? ''}"`)
        break
      }
      default:
        problems.push(`there is no option --${token.name}${didYouMean(token.name, Object.keys(known))}`)
    }
  }
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, names: names.length > 0 ? names : benchNames, options }
}
