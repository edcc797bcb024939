import { hash } from 'node:crypto'
import { chmodSync, globSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { join, relative } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'
import { cached, toolLog, type Means } from './cache.ts'
import { debianPrograms } from './debian-programs.ts'

/** A release of Go as the module proxies have it, and its checksums as a go.sum has them, by what it runs on. */
export type GoRelease = { version: string; sums: Readonly<Record<string, string>> }

/**
 * Brings a Go, once, as Go itself does where a module wants a newer one: from a proxy of modules.
 *
 * @throws when no proxy has it, or what it has is not that release.
 */
export const fetchGo = async (means: Means, { version, sums }: GoRelease): Promise<string> => {
  const target = `${platform()}-${arch() === 'x64' ? 'amd64' : arch()}`
  const sum = sums[target]
  if (sum === undefined) throw new Error(`Go ${version} for ${target} is none that is fetched`)
  const module = `v0.0.1-go${version}.${target}`
  const folder = await cached(means.cache, {
    name: 'go',
    version,
    key: [target, sum],
    make: async (making) => {
      const archive = join(making, 'go.zip')
      const programs = await debianPrograms(means, { unzip: 'unzip' })
      means.tell(`fetching Go ${version}, once`)
      writeFileSync(archive, await download(means.env['GOPROXY'], `golang.org/toolchain/@v/${module}.zip`))
      const running = { env: means.env, logFile: toolLog(means, 'go') }
      await runToEnd(programs('unzip'), ['-q', archive, '-d', making], running)
      rmSync(archive)
      const found = sumOf(making)
      if (found !== sum) throw new Error(`Go ${version} has the checksum ${found} and should have ${sum}`)
      renameSync(join(making, `golang.org/toolchain@${module}`), join(making, 'go'))
      // Archives of modules say of no file that it is a program.
      for (const file of globSync('go/{bin,pkg/tool}/**', { cwd: making })) chmodSync(join(making, file), 0o755)
    },
  })
  return join(folder, 'go/bin/go')
}

/**
 * Asks the proxies in their order: https://go.dev/ref/mod#goproxy-protocol says after what answer the next one. What is no
 * proxy over HTTP is passed over, and `off` ends the list.
 */
const download = async (proxies: string | undefined, path: string): Promise<Uint8Array> => {
  const faults: string[] = []
  for (const [, entry = '', next] of (proxies || 'https://proxy.golang.org').matchAll(/([^,|]+)([,|]?)/g)) {
    if (entry.trim() === 'off') break
    const proxy = URL.parse(entry.trim())
    if (proxy === null || !/^https?:$/.test(proxy.protocol)) continue
    const url = `${proxy.origin}${proxy.pathname.replace(/\/$/, '')}/${path}`
    const { status, bytes } = await ask(url, credentialsOf(proxy)).catch((error: unknown) => ({
      status: String(error),
      bytes: undefined,
    }))
    if (bytes !== undefined) return bytes
    faults.push(`${url}: ${status}`)
    if (next !== '|' && status !== 404 && status !== 410) break
  }
  throw new Error(faults.join('\n') || 'GOPROXY has no proxy to ask')
}

const ask = async (url: string, headers: Record<string, string>) => {
  const answer = await fetch(url, { headers })
  const bytes = new Uint8Array(await answer.arrayBuffer())
  return { status: answer.status, bytes: answer.ok ? bytes : undefined }
}

/** `fetch` refuses a URL that has them, and says it with the password. */
const credentialsOf = ({ username, password }: URL): Record<string, string> => {
  if (username === '') return {}
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
}

/** What go.sum has of a module: https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1. */
const sumOf = (folder: string): string => {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
  const lines = files
    .map((file) => ({ name: relative(folder, file), content: hash('sha256', readFileSync(file), 'hex') }))
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
    .map(({ name, content }) => `${content}  ${name}\n`)
  return `h1:${hash('sha256', lines.join(''), 'base64')}`
}
