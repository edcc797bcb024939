import { leadsTableSql } from '../example/leads-workflow.ts'
import { type Exit, type ProcessEvent, type StartedProcess, startProcess } from '../processes/index.ts'
import { defaultCredentials } from '../rd-station/index.ts'
import { ensureDatabase, type Stack } from '../stack/index.ts'
import { type Api, createApi } from './api.ts'
import { claimVhost } from './claim-vhost.ts'
import { databaseNames } from './database-names.ts'
import { type HeldPort, holdSomePort } from './ports.ts'
import {
  type HouseSettings,
  type Program,
  programs,
  type RdStationAccount,
  rdStationProgram,
  tickProgram,
} from './programs.ts'
import { queryOnce } from './query-once.ts'

/** A house that is up: every process of Esteira, on a stack. */
export type House = {
  api: Api
  /** The control plane's address. */
  url: string
  settings: HouseSettings
  /** Runs the cron-job program for one tick and resolves once it has ended well; an abort ends it. */
  fireTick: (stepId: string, key: string, signal: AbortSignal) => Promise<void>
  /** Stops the processes: first those that write, then the relays, which carry what was written last. The stack stays. */
  stop: () => Promise<void>
}

type HouseOptions = {
  stack: Stack
  adminToken: string
  /** The control plane's; released when that one is about to listen there. */
  port: HeldPort
  /** How many leads the stand-in of RD Station holds. */
  leads: number
  /** An RD Station that is there already; null starts the stand-in. */
  rdStation: RdStationAccount | null
  /** Requests a minute that either allows, 0 for no limit. */
  rateLimit: number
  connections: Record<string, string>
  secrets: Record<string, string>
  logLevel: HouseSettings['logLevel']
  cron: 'local' | 'off'
  env: NodeJS.ProcessEnv
  observe: (event: ProcessEvent) => void
  /** Ends a start that is still on its way. */
  signal: AbortSignal
}

/** Starts the processes of a house and waits until all of them are ready. */
export const startHouse = async (options: HouseOptions): Promise<House> => {
  const { stack, adminToken, port, signal } = options
  const started = new Map<string, StartedProcess>()
  const start = (program: Program, restart = true): StartedProcess =>
    startProcess({
      ...program,
      inherit: options.env,
      logFile: stack.logFile(program.name.replaceAll(' ', '-')),
      registry: stack.registry,
      observe: options.observe,
      restart,
    })
  const startAll = async (some: readonly Program[]): Promise<void> => {
    signal.throwIfAborted()
    const processes = some.map((program) => start(program))
    for (const process of processes) started.set(process.name, process)
    await Promise.race([Promise.all(processes.map(({ ready }) => ready)), rejectionOf(signal)])
  }
  const stopAll = async (some: readonly Program[]): Promise<void> => {
    const processes = some.flatMap(({ name }) => started.get(name) ?? [])
    await Promise.all(processes.map((process) => process.stop()))
  }
  const standInPort = await holdSomePort()
  const settings = await houseSettings(options, standInPort.port)
  await claimVhost(stack.rabbitmq, settings.databaseUrl)
  await queryOnce(settings.crmUrl, leadsTableSql)
  const { controlPlane, workers, relays } = programs(settings)
  const { leads, rateLimit } = options
  const standIns = options.rdStation === null ? [rdStationProgram({ port: standInPort.port, leads, rateLimit })] : []
  const stop = async (): Promise<void> => {
    await stopAll([controlPlane, ...workers])
    await stopAll(relays)
    await stopAll(standIns)
  }
  try {
    await Promise.all([port.release(), standInPort.release()])
    await startAll([...standIns, controlPlane])
    await startAll([...workers, ...relays])
    const url = `http://127.0.0.1:${port.port}`
    return {
      api: createApi(url, adminToken),
      url,
      settings,
      fireTick: (stepId, key, asked) => carryTick(() => start(tickProgram(settings, stepId, key), false), asked),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const houseSettings = async (
  { stack, adminToken, port, cron, rdStation, rateLimit, connections, secrets, logLevel }: HouseOptions,
  standInPort: number,
): Promise<HouseSettings> => {
  const names = databaseNames(stack.postgres)
  return {
    databaseUrl: await ensureDatabase(stack.postgres.url, names.esteira),
    rabbitmqUrl: stack.rabbitmq.url,
    crmUrl: await ensureDatabase(stack.postgres.url, names.crm),
    connections,
    secrets,
    rdStation: rdStation ?? { baseUrl: `http://127.0.0.1:${standInPort}`, ...defaultCredentials },
    rateLimit,
    adminToken,
    port: port.port,
    cron,
    logLevel,
  }
}

/** A tick's program that falls before its run is written is started again under the same key, as Kubernetes does. */
const carryTick = async (start: () => StartedProcess, signal: AbortSignal): Promise<void> => {
  const tries = 6
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted()
    const exit = await exitOf(start(), signal)
    if (exit.kind === 'ended' && exit.code === 0) return
    const code = exit.kind === 'ended' ? exit.code : null
    if (attempt === tries || (code !== null && code > 10)) {
      throw new Error(`the tick ended with ${code ?? 'a signal'}; its log says why`)
    }
  }
}

/** How a program ends that is there to end; an abort ends it at once. */
const exitOf = async (program: StartedProcess, signal: AbortSignal): Promise<Exit> => {
  try {
    return await Promise.race([program.exited, rejectionOf(signal)])
  } finally {
    await program.stop()
  }
}

/** A promise that only ever rejects, with the signal's reason once it is aborted. */
const rejectionOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
