import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canInstallPackages, installPackages } from '@esteira/dev/apt'
import { findProgram } from '@esteira/dev/processes'
import { freePort } from './free-port.ts'
import { runOn } from './run-on.ts'
import { waitFor } from './wait-for.ts'

export type OwnPgbouncer = { url: string; drop: () => Promise<void> }

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Where PgBouncer lies, which is installed if it can be; null on a machine that has none. */
export const findPgbouncer = async (): Promise<string | null> => {
  const find = () => findProgram('pgbouncer', path.split(':'))
  if (find() === undefined && canInstallPackages()) {
    const logFile = join(tmpdir(), 'esteira-pgbouncer-apt.log')
    await installPackages({ names: ['pgbouncer'], services: ['pgbouncer'] }, { path, logFile })
  }
  return find() ?? null
}

/** Starts a PgBouncer in front of a database, in transaction mode: its clients share so many sessions. */
export const startOwnPgbouncer = async (
  program: string,
  databaseUrl: string,
  sessions: number,
): Promise<OwnPgbouncer> => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-pgbouncer-'))
  const url = new URL(databaseUrl)
  const { hostname, username, password, pathname } = url
  const name = pathname.slice(1)
  const server = { host: hostname, port: url.port, dbname: name, user: username, password }
  const address = Object.entries(server).map(([key, value]) => `${key}='${decodeURIComponent(value)}'`)
  url.port = String(await freePort())
  const settings = [
    '[databases]',
    `${name} = ${address.join(' ')}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${url.port}`,
    'unix_socket_dir =',
    // Whoever comes is the user of the address above.
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${sessions}`,
  ]
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, settings.join('\n'))
  // It does not run as root, and another user has to read it.
  await chmod(folder, 0o755)
  const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const pooler = spawn(program, ['-q', ...asUser, file], { stdio: 'ignore' })
  const ended = once(pooler, 'exit')
  const answers = async () => {
    if (pooler.exitCode !== null) throw new Error(`PgBouncer ended with ${pooler.exitCode}`)
    const [answer] = await Promise.allSettled([runOn(url.href, 'select')])
    return answer.status === 'fulfilled'
  }
  const drop = async () => {
    pooler.kill('SIGINT')
    await ended
    await rm(folder, { recursive: true })
  }
  try {
    await waitFor(answers, { deadlineMs: 10_000, describe: 'PgBouncer to answer' })
  } catch (error) {
    await drop()
    throw error
  }
  return { url: url.href, drop }
}
