import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { runToEnd } from '../processes/run-to-end.ts'

const aptGet = '/usr/bin/apt-get'

/** Debian's packages, and the services that come with them. */
export type Packages = { names: readonly string[]; services: readonly string[] }

/** Whether packages can be installed here without asking anybody: as root, on Debian or one of its children. */
export const canInstallPackages = (): boolean => process.getuid?.() === 0 && existsSync(aptGet)

/** What `installPackages` does, for whoever is told or has to do it by hand. */
export const installCommand = (names: readonly string[]): string => `apt-get update && apt-get ${install(names)}`

/**
 * Installs packages of which only the programs are used: the services that come with them are not started.
 *
 * @throws with the last lines of what the package manager said.
 */
export const installPackages = async ({ names, services }: Packages, running: Running): Promise<void> => {
  const allowServices = forbidServices()
  try {
    await apt(['update'], running)
    await apt(install(names).split(' '), running)
    // On a machine that boots with systemd a service would start at the next boot.
    const boots = existsSync('/run/systemd/system') && services.length > 0
    if (boots) await runToEnd('/bin/systemctl', ['disable', ...services], inCleanEnv(running))
  } finally {
    allowServices()
  }
}

const install = (names: readonly string[]): string => `install --yes --no-install-recommends ${names.join(' ')}`

/** Debian's way to keep packages from starting their services; a policy that is there already is left as it is. */
const forbidServices = (): (() => void) => {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return () => undefined
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rmSync(policy, { force: true })
}

type Running = { path: string; logFile: string; signal?: AbortSignal }

/** Another apt may be at work; it is waited for. */
const apt = (words: string[], running: Running): Promise<void> =>
  runToEnd(aptGet, ['-o', 'DPkg::Lock::Timeout=120', ...words], inCleanEnv(running))

const inCleanEnv = ({ path, ...rest }: Running) => ({
  ...rest,
  env: { PATH: path, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
})
