import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'
import { adminTokenOf } from './house/admin-token.ts'
import { saveExample, tickExample } from './house/example.ts'
import { firstFreePort } from './house/ports.ts'
import { type House, startHouse } from './house/start-house.ts'
import { showLive } from './live.ts'
import { runOnce, type Summary } from './once.ts'
import { type Options, readOptions, usage } from './options.ts'
import { watchServices } from './services.ts'
import { type Stack, startStack } from './stack/index.ts'
import { plainScreen, type Screen, terminalScreen } from './view/screen.ts'

const dataDir = resolve(import.meta.dirname, '../../.esteira')
const usualPort = 8080

const main = async (options: Options, screen: Screen, signal: AbortSignal): Promise<Summary | null> => {
  const services = watchServices(screen.say)
  const port = await choosePort(options.port, screen.say)
  const stack = await startStack({
    dataDir,
    env: process.env,
    databaseUrl: process.env['DATABASE_URL'],
    rabbitmqUrl: process.env['RABBITMQ_URL'],
    fresh: options.fresh,
    observe: services.onStack,
    signal,
  })
  try {
    const house = await startHouse({
      stack,
      adminToken: process.env['ESTEIRA_ADMIN_TOKEN'] ?? adminTokenOf(dataDir),
      port,
      leads: options.leads,
      cron: options.once && !options.keep ? 'off' : 'local',
      env: process.env,
      observe: services.onProcess,
    })
    try {
      return await work(house, options, services.all, screen, signal)
    } finally {
      await house.stop()
    }
  } finally {
    await stack.stop()
  }
}

const work = async (
  house: House,
  options: Options,
  services: ReturnType<typeof watchServices>['all'],
  screen: Screen,
  signal: AbortSignal,
): Promise<Summary | null> => {
  if (options.once) {
    const summary = await runOnce(house, screen.say, signal)
    sumUp(summary, screen.say)
    if (!options.keep) return summary
    introduce(house, screen.say)
    screen.say('everything stays up until Ctrl-C')
    screen.say(JSON.stringify(summary))
    await untilAborted(signal)
    return summary
  }
  introduce(house, screen.say)
  const example = await saveExample(house)
  await tickExample(house, example)
  await showLive(house, example, services, screen, signal)
  return null
}

const introduce = ({ url, settings }: House, say: (line: string) => void): void => {
  say('')
  say(`API        ${url}/v1   (described at ${url}/openapi.json)`)
  say(`token      export ESTEIRA_ADMIN_TOKEN=${settings.adminToken}`)
  say(`try        curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" ${url}/v1/workflows`)
  say(`the leads  psql '${settings.crmUrl}' -c 'select * from leads limit 5'`)
  say(`the jobs   psql '${settings.databaseUrl}' -c 'select status, count(*) from workflow_job group by 1'`)
  say(`logs       ${dataDir}/logs`)
  say('')
}

const sumUp = ({ run, status, jobs, leads, seconds }: Summary, say: (line: string) => void): void => {
  say(`run ${run} ${status}: ${jobs} jobs in ${seconds} s, ${leads} leads in the table`)
}

const choosePort = async (asked: number | null, say: (line: string) => void): Promise<number> => {
  if (asked !== null) {
    if ((await firstFreePort(asked)) === asked) return asked
    throw new Error(`port ${asked} of 127.0.0.1 is taken; --port takes another`)
  }
  const port = await firstFreePort(usualPort)
  if (port !== usualPort) say(`port ${usualPort} of 127.0.0.1 is taken, the control plane uses ${port}`)
  return port
}

const untilAborted = async (signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) await pause(60_000, undefined, { signal }).catch(() => null)
}

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (stopping.signal.aborted) return
    process.stdout.write('\nstopping everything in order; once more Ctrl-C changes nothing\n')
    stopping.abort(new Error('stopped by a signal'))
  })
}

/** The exit code. The line of JSON is the last of the output, after everything has stopped. */
const run = async (options: Options, signal: AbortSignal): Promise<number> => {
  const screen = process.stdout.isTTY && !options.once ? terminalScreen(process.stdout) : plainScreen(process.stdout)
  try {
    const summary = await main(options, screen, signal)
    if (summary === null) return 0
    if (!options.keep) screen.say(JSON.stringify(summary))
    return summary.status === 'succeeded' ? 0 : 1
  } catch (error) {
    if (signal.aborted) return 130
    process.stderr.write(`${reasonOf(error)}\n`)
    return 1
  }
}

const read = readOptions(process.argv.slice(2))
if (!read.ok) {
  process.stderr.write(`${read.problems.join('\n')}\n\n${usage}`)
  process.exitCode = 2
} else if (read.options.help) {
  process.stdout.write(usage)
} else {
  process.exitCode = await run(read.options, stopping.signal)
}
