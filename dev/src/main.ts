import { once } from 'node:events'
import { ConfigError, exitCodes, reasonOf } from '@esteira/service'
import { type Environment, readEnvironment } from './environment.ts'
import { dataFolderOf } from './house/data-folder.ts'
import { saveExample, tickExample } from './house/example.ts'
import { showLive } from './live.ts'
import { runOnce, type Summary } from './once.ts'
import { type Options, readOptions, usage } from './options.ts'
import { signalOfEnd } from './signal-of-end.ts'
import { StackError } from './stack/index.ts'
import { plainScreen, terminalScreen } from './view/screen.ts'
import { type ShownHouse, type Start, withHouse } from './with-house.ts'

/** As shells have it for a program that was ended by Ctrl-C. */
const interrupted = 130

/** Fires a tick of the example and shows it at work until the end. */
const showExample = async ({ house, services, introduction }: ShownHouse, { screen, signal }: Start): Promise<null> => {
  for (const line of introduction) screen.say(line)
  const example = await saveExample(house, signal)
  await tickExample(house, example, signal)
  await showLive(house, example, services, screen, signal)
  return null
}

/** Carries one run of the example through, and with `--keep` leaves everything up until the end. */
const workOnce = async ({ house, introduction }: ShownHouse, { options, screen, signal }: Start): Promise<Summary> => {
  const summary = await runOnce(house, screen.say, signal)
  if (!options.keep) return summary
  for (const line of introduction) screen.say(line)
  screen.say('everything stays up until Ctrl-C')
  screen.say(JSON.stringify(summary))
  if (!signal.aborted) await once(signal, 'abort')
  return summary
}

const environmentFor = (options: Options): Environment => {
  const environment = readEnvironment(process.env)
  if (environment.rdStation === null || options.leads === null) return environment
  throw new ConfigError(['--leads is for the RD Station stand-in, which does not run beside RDSTATION_BASE_URL'])
}

/** The exit code. The line of JSON is the last of the output: without `--keep`, after everything has stopped. */
const run = async (options: Options): Promise<number> => {
  const screen = process.stdout.isTTY && !options.once ? terminalScreen(process.stdout) : plainScreen(process.stdout)
  const signal = signalOfEnd(screen, process.env['npm_lifecycle_event'] !== undefined)
  try {
    const start: Start = {
      options,
      environment: environmentFor(options),
      env: process.env,
      // npm runs its scripts in the package's folder; INIT_CWD is where it was called.
      dataDir: dataFolderOf(options.data, process.env['INIT_CWD'] ?? process.cwd()),
      screen,
      signal,
    }
    const summary = await withHouse(start, (shown) =>
      options.once ? workOnce(shown, start) : showExample(shown, start),
    )
    if (summary === null) return exitCodes.ok
    if (!options.keep) screen.say(JSON.stringify(summary))
    return summary.status === 'succeeded' ? exitCodes.ok : exitCodes.failed
  } catch (error) {
    if (signal.aborted) return interrupted
    if (error instanceof ConfigError) {
      process.stderr.write(error.problems.map((problem) => `${problem}\n`).join(''))
      return exitCodes.misconfigured
    }
    const isOfFolder = error instanceof StackError && error.code.startsWith('folder_') && options.data !== null
    process.stderr.write(`${isOfFolder ? '--data: ' : ''}${reasonOf(error)}\n`)
    return exitCodes.failed
  }
}

const read = readOptions(process.argv.slice(2))
if (!read.ok) {
  process.stderr.write(`${read.problems.join('\n')}\n\n${usage}`)
  process.exitCode = exitCodes.misconfigured
} else if (read.options.help) {
  process.stdout.write(usage)
} else {
  process.exitCode = await run(read.options)
}
