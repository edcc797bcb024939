import { mkdirSync } from 'node:fs'
import { canInstallPackages, installCommand, installPackages } from '@esteira/dev/apt'
import { findProgram, foldersOf } from '@esteira/dev/processes'
import { inTurn, toolLog, type Means } from './cache.ts'

/** Where packages put programs; those for administrators are on the PATH of root alone, network plugins on nobody's. */
const moreFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/lib/cni', '/opt/cni/bin']

/**
 * Tells where programs lie, by name: on the PATH, or where Debian's packages put them, which are installed when they are
 * missing. `packages` says which has which.
 *
 * @throws when one is missing and cannot be installed, with the command that would.
 */
export const debianPrograms = async <Name extends string>(
  means: Means,
  packages: Readonly<Record<Name, string>>,
): Promise<(name: Name) => string> => {
  const folders = [...foldersOf(means.env['PATH'] ?? ''), ...moreFolders]
  const wanted = Object.entries<string>(packages)
  const missing = () => wanted.filter(([name]) => findProgram(name, folders) === undefined)
  if (missing().length > 0) {
    mkdirSync(means.cache, { recursive: true })
    await inTurn(means.cache, 'apt', async () => {
      const names = [...new Set(missing().map(([, name]) => name))]
      if (names.length === 0) return
      const command = installCommand(names)
      if (!canInstallPackages())
        throw new Error(
          `${missing()
            .map(([name]) => name)
            .join(', ')} cannot be found; as root: ${command}`,
        )
      means.tell(`installing what is missing: ${command}`)
      const running = { path: folders.join(':'), logFile: toolLog(means, 'apt') }
      await installPackages({ names, services: names.flatMap((name) => servicesOf[name] ?? []) }, running)
    })
  }
  const [without] = missing()
  if (without !== undefined) throw new Error(`${without[1]} is installed and has no ${without[0]}`)
  return (name) => findProgram(name, folders) ?? name
}

/** They would run from the next boot on. */
const servicesOf: Record<string, string[]> = {
  'etcd-server': ['etcd'],
  containerd: ['containerd'],
  'docker-registry': ['docker-registry'],
}
