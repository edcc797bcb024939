import { Client } from 'pg'
import { crmDatabase, leadsTableSql } from '../example/leads-workflow.ts'
import type { ProcessEvent } from '../processes/index.ts'
import { type StartedProcess, startProcess } from '../processes/index.ts'
import { defaultCredentials } from '../rd-station/index.ts'
import { ensureDatabase, type Stack } from '../stack/index.ts'
import { type Api, createApi } from './api.ts'
import { firstFreePort } from './ports.ts'
import { type HouseSettings, type Program, programs, rdStationProgram, tickProgram } from './programs.ts'

/** A house that is up: every process of Esteira, on a stack. */
export type House = {
  api: Api
  /** The control plane's address. */
  url: string
  settings: HouseSettings
  /** Runs the cron-job program for one tick and resolves once it has ended well. */
  fireTick: (stepId: string, key: string) => Promise<void>
  /** Stops the processes in the reverse order of their start; the stack stays. */
  stop: () => Promise<void>
}

type HouseOptions = {
  stack: Stack
  adminToken: string
  port: number
  leads: number
  cron: 'local' | 'off'
  env: NodeJS.ProcessEnv
  observe: (event: ProcessEvent) => void
}

const esteiraDatabase = 'esteira'

/** Starts the processes of a house and waits until all of them are ready. */
export const startHouse = async (options: HouseOptions): Promise<House> => {
  const { stack, adminToken, port } = options
  const started: StartedProcess[] = []
  const start = (program: Program, restart = true): StartedProcess => {
    const process = startProcess({
      ...program,
      inherit: options.env,
      logFile: stack.logFile(program.name.replaceAll(' ', '-')),
      registry: stack.registry,
      observe: options.observe,
      restart,
    })
    if (restart) started.push(process)
    return process
  }
  const stop = async (): Promise<void> => {
    for (const process of started.toReversed()) await process.stop()
  }
  try {
    const settings = await houseSettings(options)
    await createLeadsTable(settings.crmUrl)
    const standInPort = Number(new URL(settings.rdStation.baseUrl).port)
    const [controlPlane, ...others] = programs(settings)
    if (controlPlane === undefined) throw new Error('a house has a control plane')
    // The control plane migrates the database, and nobody else can do anything before that.
    await Promise.all([
      start(rdStationProgram({ port: standInPort, leads: options.leads })).ready,
      start(controlPlane).ready,
    ])
    await Promise.all(others.map((program) => start(program).ready))
    const url = `http://127.0.0.1:${port}`
    return {
      api: createApi(url, adminToken),
      url,
      settings,
      fireTick: (stepId, key) => carryTick(() => start(tickProgram(settings, stepId, key), false)),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const houseSettings = async ({ stack, adminToken, port, cron }: HouseOptions): Promise<HouseSettings> => ({
  databaseUrl: await ensureDatabase(stack.postgres.url, esteiraDatabase),
  rabbitmqUrl: stack.rabbitmq.url,
  crmUrl: await ensureDatabase(stack.postgres.url, crmDatabase),
  rdStation: { baseUrl: `http://127.0.0.1:${await firstFreePort(port + 1)}`, ...defaultCredentials },
  adminToken,
  port,
  cron,
  logLevel: 'info',
})

const createLeadsTable = async (crmUrl: string): Promise<void> => {
  const client = new Client({ connectionString: crmUrl })
  await client.connect()
  try {
    await client.query(leadsTableSql)
  } finally {
    await client.end()
  }
}

/** A tick's program that falls before its run is written is started again under the same key, as Kubernetes does. */
const carryTick = async (start: () => StartedProcess): Promise<void> => {
  const tries = 6
  for (let attempt = 1; ; attempt += 1) {
    const process = start()
    // It ends instead of becoming ready, and how it ended is what counts.
    const [, exit] = await Promise.all([process.ready.catch(notReady), process.exited])
    if (exit.kind === 'ended' && exit.code === 0) return
    const code = exit.kind === 'ended' ? exit.code : null
    if (attempt === tries || (code !== null && code > 10)) {
      throw new Error(`${process.name} ended with ${code ?? 'a signal'}; its log says why`)
    }
  }
}

const notReady = (): null => null
