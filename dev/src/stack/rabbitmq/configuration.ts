import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a private node needs to know. */
export type NodeSettings = {
  /** Folder of the node; all it writes is below. */
  home: string
  nodeName: string
  user: string
  password: string
  ports: { rabbitmq: number; management: number; distribution: number; epmd: number }
  /** More settings, by their names in the application `rabbit`. */
  settings: Readonly<Record<string, number>>
}

/**
 * Writes the node's configuration and returns the environment that makes the server use it, and nothing of the
 * configuration, the plugins and the data of an installed service. Good for RabbitMQ 3.10 to 4.
 */
export const configureNode = async (settings: NodeSettings, path: string): Promise<Record<string, string>> => {
  const { home, nodeName, ports } = settings
  for (const folder of ['home', 'data', 'logs', 'conf.d'])
    await mkdir(join(home, folder), { recursive: true, mode: 0o700 })
  const config = join(home, 'rabbitmq.conf')
  const advanced = join(home, 'advanced.config')
  const plugins = join(home, 'enabled_plugins')
  const shellSettings = join(home, 'rabbitmq-env.conf')
  await writeFile(config, configuration(settings), { mode: 0o600 })
  await writeFile(advanced, `[{rabbit, [${terms(settings.settings)}]}].\n`)
  await writeFile(plugins, '[rabbitmq_management].\n')
  await writeFile(shellSettings, '')
  return {
    PATH: path,
    LANG: 'C.UTF-8',
    // Erlang keeps the cookie there that lets other nodes and the command line tools in.
    HOME: join(home, 'home'),
    RABBITMQ_NODENAME: nodeName,
    RABBITMQ_MNESIA_BASE: join(home, 'data'),
    RABBITMQ_LOG_BASE: join(home, 'logs'),
    // To standard output, which is the service's log.
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_CONFIG_FILES: join(home, 'conf.d'),
    RABBITMQ_ADVANCED_CONFIG_FILE: advanced,
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_CONF_ENV_FILE: shellSettings,
    RABBITMQ_DIST_PORT: String(ports.distribution),
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    // Without it the script stays as the parent of the Erlang machine, and either could die without the other.
    RUNNING_UNDER_SYSTEMD: 'true',
    ERL_CRASH_DUMP_SECONDS: '0',
  }
}

const terms = (settings: Readonly<Record<string, number>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `{${name}, ${value}}`)
    .join(', ')

const configuration = ({ user, password, ports }: NodeSettings): string => `# Written at every start.
listeners.tcp.local = 127.0.0.1:${ports.rabbitmq}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${ports.management}
default_user = ${user}
default_pass = ${password}
default_user_tags.administrator = true
log.console = true
log.console.level = warning
# The server stops taking messages below this much free disk. It is meant for servers; a laptop's disk is often nearly full.
disk_free_limit.absolute = 50MB
`
