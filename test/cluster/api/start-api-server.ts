import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { freePort } from '@esteira/dev/stack'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import { writeAuditPolicy } from './audit-log.ts'
import { createAuthority, type Authority } from './certificates.ts'
import { writeTokens, type Identity } from './identities.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { startEtcd } from './start-etcd.ts'

/** The programs that an API server needs. */
export type ApiServerPrograms = { apiServer: string; etcd: string; openssl: string }

/** An API server with its etcd, and nothing else of a cluster: no controller acts on what is written to it. */
export type ApiServer = {
  url: string
  /** Of an administrator who may do everything. */
  kubeconfig: string
  /** Of another identity; names are those that it was started with. */
  kubeconfigOf: (name: string) => string
  /** A line a request. */
  auditLog: string
  /** Ends it by SIGKILL; its data stays. */
  kill: () => Promise<void>
  /** Has it back at the same address. */
  start: () => Promise<void>
  /** Has it back without its past: older resource versions and page tokens are answered with 410. */
  forget: () => Promise<void>
  stop: () => Promise<void>
}

/** What an API server of a whole cluster has beyond one that stands alone. */
export type Surroundings = {
  /** An address of this machine. */
  address: string
  port: number
  /** Where Services have their addresses, and the first of them, which is the API server's own. */
  services: string
  firstService: string
  /** Who gets a token besides the administrator. */
  identities: Readonly<Record<string, Identity>>
  /** More of its flags, with certificates of the same authority. */
  words: (authority: Authority) => Promise<readonly string[]>
}

/**
 * Starts an API server with RBAC, tokens and an audit log; on loopback and without privileges, unless it is told what is
 * around it.
 */
export const startApiServer = async (
  programs: ApiServerPrograms,
  run: RunFolder,
  around?: Surroundings,
): Promise<ApiServer> => {
  const at = (name: string) => join(run.path, name)
  const address = around?.address ?? '127.0.0.1'
  const port = around?.port ?? (await freePort())
  const url = `https://${address}:${port}`
  const [etcd, authority] = await Promise.all([
    startEtcd({ program: programs.etcd, run }),
    createAuthority(programs.openssl, run.path),
  ])
  const hosts = [address, ...(around === undefined ? [] : [around.firstService])]
  const serving = await authority.issue({ name: 'apiserver', subject: '/CN=kube-apiserver', hosts })
  const tokens = writeTokens(at('tokens.csv'), {
    ...around?.identities,
    admin: { user: 'admin', groups: ['system:masters'] },
  })
  const kubeconfigOf = (name: string): string => {
    const token = tokens[name]
    if (token === undefined) throw new Error(`nobody is called ${name}`)
    return writeKubeconfig(at(`${name}.kubeconfig`), { server: url, authority: authority.certificate, token })
  }
  writeServiceAccountKeys(at('service-accounts'))
  const auditLog = at('audit.log')
  const words = [
    ['--etcd-servers', etcd.url],
    ['--bind-address', address, '--advertise-address', address, '--secure-port', String(port)],
    ['--tls-cert-file', serving.certificate, '--tls-private-key-file', serving.key],
    ['--token-auth-file', at('tokens.csv')],
    ['--service-account-issuer', 'https://kubernetes.default.svc'],
    ['--service-account-key-file', at('service-accounts.pub')],
    ['--service-account-signing-key-file', at('service-accounts.key')],
    ['--service-cluster-ip-range', around?.services ?? '10.0.0.0/24'],
    ['--audit-policy-file', writeAuditPolicy(at('audit-policy.json')), '--audit-log-path', auditLog],
    around === undefined ? alone : await around.words(authority),
  ].flat()
  const ask = () => isReady(url, authority.certificate, tokens['admin'] ?? '')

  let server: RunServer | undefined
  const start = async () => {
    server = await startServer({
      run,
      name: 'kube-apiserver',
      role: 'program',
      // It would go on serving what is under way, to nobody.
      stopSignal: 'SIGKILL',
      program: programs.apiServer,
      words,
      ask,
    })
  }
  try {
    await start()
  } catch (error) {
    await etcd.stop()
    throw error
  }
  return {
    url,
    kubeconfig: kubeconfigOf('admin'),
    kubeconfigOf,
    auditLog,
    kill: async () => server?.kill(),
    start,
    forget: async () => {
      await server?.kill()
      await etcd.compact()
      await start()
    },
    stop: async () => {
      await server?.stop()
      await etcd.stop()
    },
  }
}

const alone = [
  ['--authorization-mode', 'RBAC'],
  // Nobody makes the account `default` that it would ask for in each namespace.
  ['--disable-admission-plugins', 'ServiceAccount'],
].flat()

/** What tokens of service accounts are signed with, as `FILE.key` and `FILE.pub`. */
const writeServiceAccountKeys = (file: string): void => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(`${file}.key`, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
  writeFileSync(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }))
}

const isReady = (url: string, ca: string, token: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const asked = request(`${url}/readyz`, { ca, headers, agent: false, timeout: 5_000 }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`/readyz: ${response.statusCode}`))
    })
    asked.once('timeout', () => asked.destroy(new Error('/readyz: no answer')))
    asked.once('error', reject)
    asked.end()
  })
