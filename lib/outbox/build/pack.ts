import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const library = join(import.meta.dirname, '..')
const repository = join(library, '../..')

/**
 * Packs the library as strangers install it: JavaScript and types in place of the sources, which Node does not run from
 * `node_modules`. Returns the path of the tarball.
 */
export const pack = async (destination: string): Promise<string> => {
  await mkdir(join(library, 'dist'), { recursive: true })
  const folder = await mkdtemp(join(library, 'dist/package-'))
  try {
    await compile(join(folder, 'dist'))
    await writeFile(join(folder, 'package.json'), await manifest())
    await cp(join(library, 'README.md'), join(folder, 'README.md'))
    await cp(join(library, 'migrations'), join(folder, 'migrations'), { recursive: true })
    await cp(join(repository, 'LICENSE'), join(folder, 'LICENSE'))
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', destination], { cwd: folder })
    return join(destination, stdout.trim())
  } finally {
    await rm(folder, { recursive: true })
  }
}

const compile = async (outDir: string): Promise<void> => {
  const compiler = join(repository, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [compiler, '--project', import.meta.dirname, '--outDir', outDir])
}

/** What our package.json says, without what is of use in this repository only, and with exports that lead to `dist`. */
const manifest = async (): Promise<string> => {
  const text = await readFile(join(library, 'package.json'), 'utf8')
  const source: unknown = JSON.parse(text, (name, value: unknown) => {
    if (['private', 'scripts', 'devDependencies'].includes(name)) return undefined
    return typeof value === 'string' ? value.replace(/^\.\/src\/(.*)\.ts$/, './dist/$1.js') : value
  })
  return `${JSON.stringify(source, null, 2)}\n`
}
