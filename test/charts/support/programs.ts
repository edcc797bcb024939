import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { ConfigError } from '@esteira/service'
import { loadControlPlaneConfig } from '../../../control-plane/src/config.ts'
import { loadSidecarConfig } from '../../../sidecar/src/config.ts'
import { root } from './helm.ts'
import type { Container, Variable } from './manifests.ts'

/** The source of the program that a container starts; null for one that is not ours. */
export const programOf = ({ name, args }: Container): string | null => {
  if (name === 'outbox-relay') return 'sidecar/src/main.ts'
  if (name === 'cron-job') return 'workers/cron-job/src/main.ts'
  const path = args.find((arg) => arg.startsWith('/app/'))
  return path === undefined ? null : path.slice('/app/'.length)
}

/** What a program says in its sources, in which it names the variables that it reads. */
export const sourcesOf = (program: string): string => {
  const files = globSync(join(dirname(program), '**/*.ts'), { cwd: root }).filter((file) => !file.endsWith('.test.ts'))
  const own = files.map(read).join('\n')
  // A worker reads what all workers do.
  return own.includes('runWorker(') ? own + read('lib/workflow/src/worker/run-worker.ts') : own
}

const read = (source: string): string => readFileSync(join(root, source), 'utf8')

/** What a program has against an environment, before it does anything. */
export const complaintsOf = (program: string, env: Record<string, string>): readonly string[] | Promise<string[]> => {
  const load = loaders[program]
  return load === undefined ? complaintsOfProcess(program, env) : complaintsOfLoader(load, env)
}

/** Of programs that have the reading of their environment apart: it need not be a process that reads. */
const loaders: Record<string, (env: Record<string, string>) => unknown> = {
  'control-plane/src/main.ts': loadControlPlaneConfig,
  'sidecar/src/main.ts': loadSidecarConfig,
}

const complaintsOfLoader = (load: (env: Record<string, string>) => unknown, env: Record<string, string>) => {
  try {
    load(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** Never a variable of ours: a program that gets it says so and ends, with whatever else it has against its environment. */
const planted = 'ESTEIRA_PLANTED_BY_A_TEST'

const complaintsOfProcess = async (program: string, env: Record<string, string>): Promise<string[]> => {
  const child = spawn(process.execPath, [join(root, program)], {
    env: { ...env, [planted]: 'yes' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  const [said, code] = await Promise.all([text(child.stderr), ended])
  const lines = said.trim().split('\n')
  if (code !== 2 || !lines.some((line) => line.startsWith(planted))) {
    throw new Error(`${program} did not judge its environment, ended with ${code} and said: ${said}`)
  }
  return lines.filter((line) => !line.startsWith(planted))
}

/** A container's environment as Kubernetes would make it, of Secrets that hold what they should. */
export const environmentOf = ({ env }: Container): Record<string, string> => {
  // The kubelet says to every pod where the API server is.
  const made: Record<string, string> = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' }
  for (const variable of env) {
    made[variable.name] = valueOf(variable).replaceAll(/\$\((\w+)\)/g, (all, name: string) => made[name] ?? all)
  }
  return made
}

const valueOf = ({ name, value, valueFrom }: Variable): string => {
  if (value !== undefined) return value
  if (valueFrom?.fieldRef !== undefined) return 'of-the-pod'
  if (name === 'RABBITMQ_URL') return 'amqp://user:password@localhost:5672/vhost'
  if (name === 'DATABASE_URL' || name.startsWith('ESTEIRA_CONNECTION_'))
    return 'postgres://user:password@localhost:5432/name'
  return 'a-secret-that-is-too-long-to-be-guessed'
}
