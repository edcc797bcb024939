import { realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { findProgram, foldersOf, isExecutable } from '../../processes/find-program.ts'

/** An installed RabbitMQ: its start script, epmd, and where both find Erlang. */
export type RabbitmqServer = { script: string; epmd: string; path: string }

/** Looks for RabbitMQ where Debian, Homebrew and its own archive put it, and on the PATH. */
export const findRabbitmqServer = (path: string): RabbitmqServer | undefined => {
  const onPath = foldersOf(path)
  const script = [
    // Debian's /usr/sbin/rabbitmq-server changes to the user rabbitmq and its folders; the script behind it does not.
    '/usr/lib/rabbitmq/bin/rabbitmq-server',
    ...[...onPath, '/opt/homebrew/sbin', '/usr/local/sbin', '/opt/rabbitmq/sbin'].map((folder) =>
      join(folder, 'rabbitmq-server'),
    ),
  ].find(isExecutable)
  if (script === undefined) return undefined
  const beside = [
    dirname(script),
    join(dirname(script), '..', 'bin'),
    '/opt/homebrew/bin',
    '/usr/local/bin',
    '/usr/bin',
  ]
  const folders = [...onPath, ...beside]
  const erl = findProgram('erl', folders)
  if (erl === undefined) return undefined
  const epmd = findProgram('epmd', [...folders, dirname(realpathSync(erl))])
  if (epmd === undefined) return undefined
  return { script, epmd, path: [...new Set([dirname(erl), ...folders, '/usr/bin', '/bin'])].join(delimiter) }
}
