import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { keepRunning } from '../../processes/keep-running.ts'
import type { DataFolder } from '../folder/data-folder.ts'
import { choosePort } from '../folder/ports.ts'
import { firstReady, partEvents } from '../part-events.ts'
import type { Observe, Service } from '../service.ts'
import { postgresAnswers } from './answers.ts'
import { makeCluster, superuser } from './cluster.ts'
import { removeDeadLockFile } from './dead-lock-file.ts'
import { majorVersionOf, runnablePrograms } from './programs.ts'
import { isReachable, serviceUser, type ServiceUser } from './service-user.ts'
import { endStrayBackends } from './stray-backends.ts'

/** Runs Postgres from the npm package's programs, with its data in the folder, and keeps it running. */
export const startNativePostgres = async (options: {
  folder: DataFolder
  /** From `findPostgresPrograms`. */
  programs: string
  settings: readonly string[]
  observe: Observe
  signal: AbortSignal
}): Promise<Service> => {
  const { folder, observe, signal } = options
  const user = await serviceUser()
  const port = await choosePort(folder, 'postgres', observe)
  const address = `127.0.0.1:${port}`
  observe({ kind: 'service.starting', service: 'postgres', source: 'native', address })
  const home = homeOf(folder, user)
  await mkdir(home, { recursive: true })
  for (const path of user === undefined ? [] : [dirname(home), home]) await chmod(path, 0o755)
  const programs = await runnablePrograms(options.programs, home, user !== undefined)
  const majorVersion = await majorVersionOf(options.programs)
  const { password } = folder.state()
  const data = await makeCluster({ programs, majorVersion, home, password, user })
  const url = `postgres://${superuser}:${password}@${address}/postgres`
  const program = realpathSync(join(programs, 'bin', 'postgres'))
  signal.throwIfAborted()

  const server = keepRunning({
    name: 'postgres',
    role: 'service',
    mark: data,
    // A fast shutdown: clients are cut off, and the data is written out.
    stopSignal: 'SIGINT',
    graceMs: 20_000,
    logFile: folder.logFile('postgres'),
    prepare: async () => {
      await endStrayBackends(data, program)
      removeDeadLockFile(data)
    },
    spawn: (log) =>
      spawn(program, ['-D', data, ...[...settings(port), ...options.settings].flatMap((setting) => ['-c', setting])], {
        cwd: home,
        env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
        detached: true,
        stdio: ['ignore', log, log],
        ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
      }),
    answers: (stillUp) => postgresAnswers(url, stillUp),
    // Recovery after a kill reads back at most max_wal_size, 1 GiB.
    readyWithinMs: 120_000,
    restart: true,
    registry: folder.registry,
    observe: partEvents(observe, {
      service: 'postgres',
      part: 'postgres',
      ready: (ms) => observe({ kind: 'service.ready', service: 'postgres', source: 'native', address, ms }),
    }),
  })
  await firstReady(server, signal)
  return {
    name: 'postgres',
    source: 'native',
    url,
    describe: [
      `Postgres ${majorVersion}, native`,
      address,
      ...(user ? [`as user ${user.name}, data in ${data}`] : []),
    ].join(', '),
    stop: async () => {
      await server.stop()
      observe({ kind: 'service.stopped', service: 'postgres' })
    },
  }
}

/** Where programs and data are: in the folder, unless the user whom Postgres runs as cannot get there. */
const homeOf = (folder: DataFolder, user: ServiceUser | undefined): string => {
  const inside = join(folder.path, 'postgres')
  // Data that is there is found again, even if the way was opened or closed since.
  if (user === undefined || existsSync(join(inside, 'data'))) return inside
  return existsSync(folder.outside) || !isReachable(folder.path) ? folder.outside : inside
}

const settings = (port: number): string[] => [
  `port=${port}`,
  'listen_addresses=127.0.0.1',
  // A socket's path may be 107 bytes at most, less than many a project's folder.
  'unix_socket_directories=',
  'max_connections=300',
  'timezone=UTC',
  'log_timezone=UTC',
]
