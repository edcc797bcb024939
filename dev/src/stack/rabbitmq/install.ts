import { reasonOf } from '@esteira/service'
import { installCommand, installPackages } from '../../apt/install-packages.ts'
import { StackError } from '../errors.ts'
import type { Observe } from '../service.ts'

const packages = { names: ['rabbitmq-server'], services: ['rabbitmq-server'] }

/**
 * Installs Debian's RabbitMQ, of which only the programs are used.
 *
 * @throws StackError `install_failed` with the last lines of what the package manager said.
 */
export const installRabbitmq = async (options: {
  path: string
  logFile: string
  observe: Observe
  signal: AbortSignal
}): Promise<void> => {
  const { observe, ...running } = options
  observe({ kind: 'package.installing', command: installCommand(packages.names) })
  try {
    await installPackages(packages, running)
  } catch (cause) {
    if (running.signal.aborted) throw cause
    throw new StackError('install_failed', reasonOf(cause), { cause })
  }
}
