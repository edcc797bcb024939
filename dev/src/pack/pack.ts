import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const repository = join(import.meta.dirname, '../../..')

/** The packages that others install, by their folders: where the sources are, and what goes with them. */
const published: Record<string, { sources: string; beside: readonly string[]; amongSources: RegExp | null }> = {
  'lib/http': { sources: 'src', beside: ['README.md'], amongSources: null },
  'lib/outbox': { sources: 'src', beside: ['README.md', 'migrations'], amongSources: null },
  'lib/service': { sources: 'src', beside: ['README.md'], amongSources: null },
  'lib/workflow': { sources: 'src', beside: ['README.md'], amongSources: null },
  migrations: { sources: '.', beside: ['README.md'], amongSources: /^\d{4}_\w+\.sql$/ },
}

/** The folders of the packages that others install. */
export const publishedFolders: readonly string[] = Object.keys(published)

/**
 * Packs packages as strangers install them: JavaScript and types in place of the sources, which Node does not run from
 * `node_modules`. Returns the paths of the tarballs, in the order of `folders`.
 *
 * @throws Error for a folder that is not of a package which others install.
 */
export const pack = async (folders: readonly string[], destination: string): Promise<string[]> => {
  const compiled = await mkdtemp(join(tmpdir(), 'esteira-pack-'))
  try {
    await compile(compiled)
    return await Promise.all(folders.map((folder) => packOne(folder, compiled, destination)))
  } finally {
    await rm(compiled, { recursive: true })
  }
}

/** All at once: what one takes from another is a source to the compiler. */
const compile = async (outDir: string): Promise<void> => {
  const compiler = join(repository, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [compiler, '--project', import.meta.dirname, '--outDir', outDir])
}

const packOne = async (folder: string, compiled: string, destination: string): Promise<string> => {
  const plan = published[folder]
  if (plan === undefined) throw new Error(`${folder} is not published: ${publishedFolders.join(', ')} are`)
  const here = join(repository, folder)
  const whole = await mkdtemp(join(compiled, 'package-'))
  await cp(join(compiled, folder, plan.sources), join(whole, 'dist'), { recursive: true })
  if (plan.amongSources !== null) {
    const names = (await readdir(join(here, plan.sources))).filter((name) => plan.amongSources?.test(name))
    for (const name of names) await cp(join(here, plan.sources, name), join(whole, 'dist', name))
  }
  await nameSources(whole, plan.sources)
  for (const name of plan.beside) await cp(join(here, name), join(whole, name), { recursive: true })
  await cp(join(repository, 'LICENSE'), join(whole, 'LICENSE'))
  await writeFile(join(whole, 'package.json'), await manifest(here, plan.sources))
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', destination], { cwd: whole })
  return join(destination, stdout.trim())
}

/**
 * Has the maps, which hold the sources, name them as if they lay in the package. The compiler wrote its way to them from a
 * folder that is gone, over those of this machine.
 */
const nameSources = async (whole: string, sources: string): Promise<void> => {
  const files = await readdir(join(whole, 'dist'), { recursive: true })
  for (const file of files.filter((name) => name.endsWith('.js.map'))) {
    const path = join(whole, 'dist', file)
    const source = relative(dirname(path), join(whole, sources, file.replace(/\.js\.map$/, '.ts')))
    const named: unknown = JSON.parse(await readFile(path, 'utf8'), (name, value: unknown) =>
      name === 'sources' ? [source] : value,
    )
    await writeFile(path, JSON.stringify(named))
  }
}

/**
 * What our package.json says, without what is of use in this repository only, and with exports and types that lead to
 * `dist`.
 */
const manifest = async (folder: string, sources: string): Promise<string> => {
  const text = await readFile(join(folder, 'package.json'), 'utf8')
  const source = sources === '.' ? /^\.\/(.*)\.ts$/ : /^\.\/src\/(.*)\.ts$/
  const packed: unknown = JSON.parse(text, (name, value: unknown) => {
    if (['private', 'scripts', 'devDependencies'].includes(name)) return undefined
    return typeof value === 'string' ? value.replace(source, `./dist/$1${name === 'types' ? '.d.ts' : '.js'}`) : value
  })
  return `${JSON.stringify(packed, null, 2)}\n`
}
