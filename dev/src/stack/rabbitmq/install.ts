import { spawn } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { lastLines, openLog } from '../../processes/log-file.ts'
import { StackError } from '../errors.ts'
import type { Observe } from '../service.ts'

const aptGet = '/usr/bin/apt-get'

/** Whether RabbitMQ can be installed here without asking anybody: as root, on Debian or one of its children. */
export const canInstallRabbitmq = (): boolean => process.getuid?.() === 0 && existsSync(aptGet)

/**
 * Installs Debian's RabbitMQ, of which only the programs are used: the service that comes with it is not started.
 *
 * @throws StackError `install_failed` with the last lines of what the package manager said.
 */
export const installRabbitmq = async (options: {
  path: string
  logFile: string
  observe: Observe
  signal: AbortSignal
}): Promise<void> => {
  const { observe } = options
  const install = ['install', '--yes', '--no-install-recommends', 'rabbitmq-server']
  observe({ kind: 'package.installing', command: `apt-get update && apt-get ${install.join(' ')}` })
  const allowServices = forbidServices()
  try {
    await apt(['update'], options)
    await apt(install, options)
    // On a machine that boots with systemd the service would start at the next boot.
    if (existsSync('/run/systemd/system')) await run('/bin/systemctl', ['disable', 'rabbitmq-server'], options)
  } finally {
    allowServices()
  }
}

/** Debian's way to keep packages from starting their services; a policy that is there already is left as it is. */
const forbidServices = (): (() => void) => {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return () => undefined
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rmSync(policy, { force: true })
}

type Running = { path: string; logFile: string; signal: AbortSignal }

/** Another apt may be at work; it is waited for. */
const apt = (words: string[], running: Running): Promise<void> =>
  run(aptGet, ['-o', 'DPkg::Lock::Timeout=120', ...words], running)

const run = async (program: string, words: string[], { path, logFile, signal }: Running): Promise<void> => {
  const log = openLog(logFile)
  const child = spawn(program, words, {
    env: { PATH: path, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', log.descriptor, log.descriptor],
    signal,
  })
  const { promise: ended, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('exit', resolve)
  log.close()
  const code = await ended
  if (code !== 0) {
    const said = lastLines(logFile, log.from).join('\n  ')
    throw new StackError('install_failed', `${program} ${words.join(' ')} ended with code ${code}:\n  ${said}`)
  }
}
