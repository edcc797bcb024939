import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { StackError } from '../errors.ts'
import type { ServiceUser } from './service-user.ts'

/** The superuser of our clusters. */
export const superuser = 'postgres'

/**
 * Makes the cluster in `home` unless it is there; its data folder. It is made beside its place and renamed when whole,
 * so a start that is cut short leaves nothing that looks like data.
 */
export const makeCluster = async (options: {
  programs: string
  majorVersion: number
  home: string
  password: string
  user: ServiceUser | undefined
}): Promise<string> => {
  const { programs, majorVersion, home, password, user } = options
  const data = join(home, 'data')
  if (existsSync(data)) return data
  const unfinished = join(home, 'data.new')
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { mode: 0o700 })
  const passwordFile = join(home, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (user !== undefined) {
    for (const path of [unfinished, passwordFile]) await chown(path, user.uid, user.gid)
  }
  const settings = [
    `--pgdata=${unfinished}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    // The built-in locale sorts alike on every system, whatever locales that one has.
    ...(majorVersion < 17 ? [] : ['--locale-provider=builtin', '--builtin-locale=C.UTF-8']),
  ]
  try {
    await promisify(execFile)(join(programs, 'bin', 'initdb'), settings, {
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      cwd: home,
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    })
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause)
    throw new StackError('service_failed', `Postgres could not make its data folder ${unfinished}: ${said}`, { cause })
  } finally {
    await rm(passwordFile, { force: true })
  }
  await rename(unfinished, data)
  return data
}
