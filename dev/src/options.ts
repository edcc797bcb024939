import { parseArgs } from 'node:util'
import { didYouMean } from '@esteira/service'

/** What `npm start` was asked for. */
export type Options = {
  /** Fire one tick, wait for its run, say what came of it, and stop. */
  once: boolean
  /** Begin with empty data. */
  fresh: boolean
  /** With `once`: leave everything up at the end. */
  keep: boolean
  help: boolean
  /** How many leads the RD Station stand-in holds; without one, 50. */
  leads: number | null
  /** The control plane's port; without one, 8080 or the next that is free. */
  port: number | null
  /** The folder for data and logs; without one, `.esteira` beside the code. */
  data: string | null
}

/** The options as they were read, or every problem with them, a line each. */
export type ReadOptions = { ok: true; options: Options } | { ok: false; problems: string[] }

const known = {
  once: { type: 'boolean', default: false },
  fresh: { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  leads: { type: 'string' },
  port: { type: 'string' },
  data: { type: 'string' },
} as const

const optionNames = Object.keys(known).map((name) => `--${name}`)

export const usage = `npm start [-- options]

  --once      fire one tick, wait until its run is over, print a summary and a line of JSON, stop
  --leads N   how many leads the RD Station stand-in holds (default 50)
  --keep      with --once: leave everything up
  --fresh     begin with empty data
  --port N    port of the control plane (default 8080, or the next free one)
  --data DIR  folder for data and logs (default .esteira beside the code)
  --help      this text
`

/** Reads the words behind `npm start --`. */
export const readOptions = (words: readonly string[]): ReadOptions => {
  const { tokens } = parseArgs({ args: [...words], options: known, strict: false, tokens: true })
  const problems: string[] = []
  const seen = new Set<string>()
  const options: Options = { once: false, fresh: false, keep: false, help: false, leads: null, port: null, data: null }
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`"${token.value}" is not an option, options begin with --`)
    if (token.kind !== 'option') continue
    if (seen.has(token.name)) problems.push(`${token.rawName} came more than once`)
    seen.add(token.name)
    switch (token.name) {
      case 'once':
      case 'fresh':
      case 'keep':
      case 'help':
        if (token.value === undefined) options[token.name] = true
        else problems.push(`--${token.name} takes no value, "${token.value}" came`)
        break
      case 'leads':
        options.leads = wholeNumber('--leads', token.value, 0, 10_000_000, problems)
        break
      case 'port':
        options.port = wholeNumber('--port', token.value, 1, 65_535, problems)
        break
      case 'data':
        options.data = folder('--data', token.value, problems)
        break
      default:
        problems.push(`there is no option ${token.rawName}${didYouMean(token.rawName, optionNames)}`)
    }
  }
  if (options.keep && !options.once) problems.push('--keep goes with --once')
  return problems.length > 0 ? { ok: false, problems } : { ok: true, options }
}

const wholeNumber = (
  option: string,
  text: string | undefined,
  min: number,
  max: number,
  problems: string[],
): number => {
  const number = Number(text)
  if (text !== undefined && /^\d+$/.test(text) && number >= min && number <= max) return number
  problems.push(`${option} expects a whole number from ${min} to ${max}, ${cameInstead(text)}`)
  return min
}

const folder = (option: string, text: string | undefined, problems: string[]): string | null => {
  // A word that begins with -- was meant as the next option.
  if (text !== undefined && text !== '' && !text.startsWith('--')) return text
  problems.push(`${option} expects a folder, ${cameInstead(text)}`)
  return null
}

const cameInstead = (text: string | undefined): string =>
  text === undefined || text === '' ? 'nothing came' : `"${text}" is not`
