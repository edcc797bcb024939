import { once } from 'node:events'
import { join } from 'node:path'
import { ConfigError, exitCodes, reasonOf } from '@esteira/service'
import { type Environment, readEnvironment } from './environment.ts'
import { adminTokenOf } from './house/admin-token.ts'
import { dataFolderOf } from './house/data-folder.ts'
import { saveExample, tickExample } from './house/example.ts'
import { type HeldPort, holdFirstFreePort, holdPort } from './house/ports.ts'
import { type House, startHouse } from './house/start-house.ts'
import { showLive } from './live.ts'
import { runOnce, type Summary } from './once.ts'
import { type Options, readOptions, usage } from './options.ts'
import { watchServices } from './services.ts'
import { startStack } from './stack/index.ts'
import { plainScreen, type Screen, terminalScreen } from './view/screen.ts'

const usualPort = 8080

/** As shells have it for a program that was ended by Ctrl-C. */
const interrupted = 130

type Start = { options: Options; environment: Environment; screen: Screen; signal: AbortSignal }

const main = async ({ options, environment, screen, signal }: Start): Promise<Summary | null> => {
  // npm runs its scripts in the package's folder; INIT_CWD is where it was called.
  const dataDir = dataFolderOf(options.data, process.env['INIT_CWD'] ?? process.cwd())
  const services = watchServices(screen.say)
  const port = await choosePort(options.port, screen.say)
  if (options.fresh && environment.databaseUrl !== null) screen.say('--fresh leaves what DATABASE_URL holds as it is')
  const stack = await startStack({
    dataDir,
    env: process.env,
    databaseUrl: environment.databaseUrl ?? undefined,
    rabbitmqUrl: environment.rabbitmqUrl ?? undefined,
    fresh: options.fresh,
    observe: services.onStack,
    signal,
  })
  try {
    const house = await startHouse({
      stack,
      adminToken: environment.adminToken ?? adminTokenOf(dataDir),
      port,
      leads: options.leads,
      rdStation: environment.rdStation,
      connections: environment.connections,
      logLevel: environment.logLevel,
      cron: options.once && !options.keep ? 'off' : 'local',
      env: process.env,
      observe: services.onProcess,
      signal,
    })
    try {
      services.place('control-plane', house.url)
      if (environment.rdStation === null) services.place('rd-station stand-in', house.settings.rdStation.baseUrl)
      const introduction = introduce(house, join(dataDir, 'logs'))
      if (options.once) return await workOnce(house, introduction, { options, environment, screen, signal })
      for (const line of introduction) screen.say(line)
      const example = await saveExample(house, signal)
      await tickExample(house, example, signal)
      await showLive(house, example, services.all, screen, signal)
      return null
    } finally {
      await house.stop()
    }
  } finally {
    await stack.stop()
  }
}

const workOnce = async (house: House, introduction: string[], { options, screen, signal }: Start): Promise<Summary> => {
  const summary = await runOnce(house, screen.say, signal)
  if (!options.keep) return summary
  for (const line of introduction) screen.say(line)
  screen.say('everything stays up until Ctrl-C')
  screen.say(JSON.stringify(summary))
  if (!signal.aborted) await once(signal, 'abort')
  return summary
}

const introduce = ({ url, settings }: House, logs: string): string[] => [
  '',
  `API        ${url}/v1   (described at ${url}/openapi.json)`,
  `token      export ESTEIRA_ADMIN_TOKEN=${settings.adminToken}`,
  `try        curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" ${url}/v1/workflows`,
  `the leads  psql '${settings.crmUrl}' -c 'select * from leads limit 5'`,
  `the jobs   psql '${settings.databaseUrl}' -c 'select status, count(*) from workflow_job group by 1'`,
  `RD Station ${settings.rdStation.baseUrl}`,
  `logs       ${logs}`,
  '',
]

const choosePort = async (asked: number | null, say: (line: string) => void): Promise<HeldPort> => {
  if (asked !== null) {
    const held = await holdPort(asked)
    if (held === null) throw new Error(`port ${asked} of 127.0.0.1 is taken; --port takes another`)
    return held
  }
  const held = await holdFirstFreePort(usualPort)
  if (held.port !== usualPort) say(`port ${usualPort} of 127.0.0.1 is taken, the control plane uses ${held.port}`)
  return held
}

/** Aborts the signal when the process is asked to end, or when nobody is left to read what it says. */
const signalOfEnd = (screen: Screen): AbortSignal => {
  const stopping = new AbortController()
  const stop = (reason: string): void => {
    if (stopping.signal.aborted) return
    screen.leave()
    screen.say('stopping everything in order')
    stopping.abort(new Error(reason))
  }
  // SIGHUP is a terminal that was closed.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop(`stopped by ${name}`))
  // Services run in groups of their own and would outlive a process that fell over a broken pipe.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop('the output was closed'))
  // A SIGTERM for npm ends npm and its shell, but is not handed on: all that is seen of it here is another parent.
  const parent = process.ppid
  const watch = () => process.ppid !== parent && stop('npm is gone')
  if (process.env['npm_lifecycle_event'] !== undefined) setInterval(watch, 500).unref()
  return stopping.signal
}

/** The exit code. The line of JSON is the last of the output, after everything has stopped. */
const run = async (options: Options): Promise<number> => {
  const screen = process.stdout.isTTY && !options.once ? terminalScreen(process.stdout) : plainScreen(process.stdout)
  const signal = signalOfEnd(screen)
  try {
    const summary = await main({ options, environment: readEnvironment(process.env), screen, signal })
    if (summary === null) return exitCodes.ok
    if (!options.keep) screen.say(JSON.stringify(summary))
    return summary.status === 'succeeded' ? exitCodes.ok : exitCodes.failed
  } catch (error) {
    if (signal.aborted) return interrupted
    if (error instanceof ConfigError) {
      process.stderr.write(error.problems.map((problem) => `${problem}\n`).join(''))
      return exitCodes.misconfigured
    }
    process.stderr.write(`${reasonOf(error)}\n`)
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
