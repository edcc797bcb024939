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

/** Asks the proxies in their order: https://go.dev/ref/mod#goproxy-protocol says after what answer the next one. */
const download = async (proxies = 'https://proxy.golang.org', path: string): Promise<Uint8Array> => {
  const faults: string[] = []
  for (const [, proxy = '', next] of proxies.matchAll(/([^,|]+)([,|]?)/g)) {
    if (!/^https?:/.test(proxy)) break
    const url = `${proxy.replace(/\/$/, '')}/${path}`
    const answer = await fetch(url).catch((error: unknown) => String(error))
    if (typeof answer !== 'string' && answer.ok) return new Uint8Array(await answer.arrayBuffer())
    faults.push(`${url}: ${typeof answer === 'string' ? answer : answer.status}`)
    const isMissing = typeof answer !== 'string' && [404, 410].includes(answer.status)
    if (next !== '|' && !isMissing) break
  }
  throw new Error(faults.join('\n') || `GOPROXY=${proxies} has no proxy to ask`)
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
