import { tickProgramName } from './house/programs.ts'
import { describeExit, type Exit, type ProcessEvent } from './processes/index.ts'
import type { StackEvent } from './stack/index.ts'
import type { ServiceLine } from './view/snapshot.ts'

/** Keeps what is known of every service and process, and tells what people should know in a sentence. */
export const watchServices = (say: (line: string) => void) => {
  const lines = new Map<string, ServiceLine>()
  const places = new Map<string, string>()
  const set = (name: string, change: Partial<ServiceLine>): void => {
    lines.set(name, { ...(lines.get(name) ?? { name, state: 'starting', where: '' }), ...change })
  }
  return {
    all: (): ServiceLine[] =>
      [...lines.values()].map(({ name, state, where }) => ({
        name,
        state,
        where: [places.get(name), where].filter(Boolean).join(', '),
      })),
    /** Says where a process listens, which its events do not. */
    place: (name: string, address: string): void => {
      places.set(name, address)
    },
    onStack: (event: StackEvent): void => {
      switch (event.kind) {
        case 'package.installing':
          say(`installing what is missing: ${event.command}`)
          break
        case 'orphan.stopped':
          say(`stopped ${event.name} (process ${event.pid}), left over from an earlier start`)
          break
        case 'port.moved':
          say(`port ${event.from} of ${event.name} is taken, ${event.to} is used instead`)
          break
        case 'service.starting':
          set(event.service, { state: 'starting', where: event.address })
          break
        case 'service.unreachable':
          // Once; when it is given up, the error says so.
          if (event.attempt > 1) break
          say(`${event.service} at ${event.address} does not answer: ${event.reason}; it is tried for some seconds`)
          break
        case 'service.ready':
          set(event.service, { state: 'up', where: `${event.address} (${event.source})` })
          say(`${event.service} is up at ${event.address} (${event.source}, ${event.ms} ms)`)
          break
        case 'service.exited':
          set(event.service, { state: 'down' })
          say(downfall(event.part, event))
          break
        case 'service.stopped':
          set(event.service, { state: 'down' })
          say(`${event.service} has stopped`)
          break
      }
    },
    onProcess: (event: ProcessEvent): void => {
      // A tick is a program that comes and goes; its run is what people see.
      if (event.name === tickProgramName) {
        if (event.kind === 'process.exited' && !isOk(event.exit)) say(downfall(event.name, event))
        return
      }
      switch (event.kind) {
        case 'process.started':
          set(event.name, { state: 'starting', where: `process ${event.pid}` })
          break
        case 'process.ready':
          set(event.name, { state: 'up' })
          say(`${event.name} is up (${event.ms} ms)`)
          break
        case 'process.exited':
          set(event.name, { state: 'down', where: '' })
          say(downfall(event.name, event))
          break
        case 'process.stopped':
          set(event.name, { state: 'down', where: '' })
          say(`${event.name} has stopped`)
          break
      }
    },
  }
}

const isOk = (exit: Exit): boolean => exit.kind === 'ended' && exit.code === 0

type Downfall = { exit: Exit; restartInMs: number | null; lastLines: readonly string[] }

const downfall = (name: string, { exit, restartInMs, lastLines }: Downfall): string => {
  const next = name === tickProgramName ? '' : `; ${again(restartInMs)}`
  return [`${name} ${describeExit(exit)}${next}`, ...(saysWhy(exit) ? lastLines : [])].join('\n  ')
}

/**
 * Whether the end of the log may tell the cause. One that was killed had no time to write it: a container that was killed
 * ends with 137, and RabbitMQ's script with 0 when only its server was.
 */
const saysWhy = (exit: Exit): boolean =>
  exit.kind !== 'ended' || (exit.signal !== 'SIGKILL' && exit.code !== 137 && !isOk(exit))

const again = (restartInMs: number | null): string =>
  restartInMs === null ? 'it is not started again' : 'it is started again'
