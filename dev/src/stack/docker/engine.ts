import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Whether a Docker engine answers, asked at the places where testcontainers looks. An engine that is not there is told
 * at once: a missing socket is not waited for, and one that is there has half a second.
 */
export const engineAnswers = async (env: NodeJS.ProcessEnv): Promise<boolean> => {
  const host = env['DOCKER_HOST']
  if (host !== undefined && host !== '') return answers(host)
  for (const socket of socketPaths(env).filter((path) => existsSync(path))) {
    if (await answers(`unix://${socket}`)) return true
  }
  return false
}

const socketPaths = (env: NodeJS.ProcessEnv): string[] => {
  const runtimeDir = env['XDG_RUNTIME_DIR']
  return [
    '/var/run/docker.sock',
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, 'docker.sock')]),
    join(homedir(), '.docker', 'run', 'docker.sock'),
    join(homedir(), '.docker', 'desktop', 'docker.sock'),
    `/run/user/${process.getuid?.() ?? 0}/docker.sock`,
  ]
}

const answers = (host: string): Promise<boolean> => {
  if (!URL.canParse(host)) return Promise.resolve(false)
  const url = new URL(host)
  // Behind TLS the certificates are testcontainers' matter; that somebody listens is enough.
  if (url.protocol === 'tcp:' && url.port === '2376') return listens(url)
  return pings(url.protocol === 'unix:' ? { socketPath: url.pathname } : { host: url.hostname, port: url.port })
}

const pings = (target: { socketPath: string } | { host: string; port: string }): Promise<boolean> =>
  new Promise((resolve) => {
    const asked = request({ ...target, path: '/_ping', timeout: timeoutMs }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.once('timeout', () => asked.destroy(new Error('timeout')))
    asked.once('error', () => resolve(false))
    asked.end()
  })

const listens = (url: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), timeout: timeoutMs })
    const end = (connected: boolean) => {
      socket.destroy()
      resolve(connected)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })

const timeoutMs = 500
