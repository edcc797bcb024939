import type { Exit } from '../processes/index.ts'

export type ServiceName = 'postgres' | 'rabbitmq'

/** Where a service comes from: an address that was given, a container, or a process of this machine. */
export type Source = 'given' | 'docker' | 'native'

/** A service that answers. */
export type Service = {
  name: ServiceName
  source: Source
  /** With user and password. */
  url: string
  /** What it is and where, without the password: `Postgres, native, 127.0.0.1:23456`. */
  describe: string
  stop: () => Promise<void>
}

/** RabbitMQ also has its management API, of the same user. */
export type RabbitmqService = Service & { managementUrl: string }

/** What happens to the stack. Constant kinds, no passwords. */
export type StackEvent =
  | { kind: 'package.installing'; command: string }
  | { kind: 'orphan.stopped'; name: string; pid: number }
  /** A port that was used before is taken by a stranger. */
  | { kind: 'port.moved'; name: string; from: number; to: number }
  | { kind: 'service.starting'; service: ServiceName; source: Source; address: string }
  | { kind: 'service.unreachable'; service: ServiceName; address: string; attempt: number; reason: string }
  | { kind: 'service.ready'; service: ServiceName; source: Source; address: string; ms: number }
  /** `part` is the process or container that fell; it is started again after `restartInMs`, or not when that is null. */
  | {
      kind: 'service.exited'
      service: ServiceName
      part: string
      exit: Exit
      lastLines: string[]
      restartInMs: number | null
    }
  | { kind: 'service.stopped'; service: ServiceName }

export type Observe = (event: StackEvent) => void
