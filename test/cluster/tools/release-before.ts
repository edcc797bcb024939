import { execFile } from 'node:child_process'
import { globSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { arch } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { runToEnd } from '@esteira/dev/processes'
import { cached, toolLog, type Means } from './cache.ts'
import { debianPrograms } from './debian-programs.ts'

/** A release that an upgrade begins from: what its programs know of the database, its chart, and its images. */
export type ReleaseBefore = {
  /** The newest migration that it lacks, by the name of its file. */
  lacks: string
  chart: string
  /** The tag of both images, and an archive of each. */
  tag: string
  archives: readonly string[]
}

const root = resolve(import.meta.dirname, '../../..')
const tag = 'before'

/**
 * Builds the images of the commit before the newest migration, by what that commit has for it, and takes its chart along:
 * minutes at the first time. The archive of the chart in `test/charts/before` has no images.
 *
 * @throws where the history is not there, and with the last words of what does not build.
 */
export const releaseBefore = async (means: Means): Promise<ReleaseBefore> => {
  const [newest = ''] = globSync('migrations/*.sql', { cwd: root })
    .filter((file) => /\/\d/.test(file))
    .toSorted()
    .slice(-1)
  const commit = await commitBefore(newest)
  const folder = await cached(means.cache, {
    name: 'release-before',
    version: commit.slice(0, 12),
    key: [commit, process.version, arch()],
    make: (making) => build(means, commit, making),
  })
  return {
    lacks: basename(newest, '.sql'),
    chart: join(folder, 'charts/esteira'),
    tag,
    archives: globSync('*.tar', { cwd: folder }).map((file) => join(folder, file)),
  }
}

/** The commit before the one that brought a file. */
const commitBefore = async (file: string): Promise<string> => {
  const words = ['log', '-1', '--diff-filter=A', '--format=%P', '--', file]
  const { stdout } = await promisify(execFile)('git', words, { cwd: root })
  const [parent] = stdout.trim().split(' ')
  if (parent === undefined || parent === '')
    throw new Error(`the history has no commit before ${file}; fetch all of it`)
  return parent
}

const build = async (means: Means, commit: string, folder: string): Promise<void> => {
  await debianPrograms(means, { buildah: 'buildah' })
  const logFile = toolLog(means, 'release-before')
  means.tell(`building the images of ${commit.slice(0, 12)}, once: ${logFile}`)
  const tree = join(folder, 'tree')
  const run = (program: string, words: readonly string[], cwd = tree) =>
    runToEnd(program, words, { env: means.env, cwd, logFile })
  mkdirSync(tree)
  await run('git', ['archive', '--output', join(folder, 'tree.tar'), commit], root)
  await run('tar', ['-xf', join(folder, 'tree.tar')])
  rmSync(join(folder, 'tree.tar'))
  await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'])
  await run('npm', ['run', 'images', '--', '--base', 'own', '--tag', tag, '--archives', folder])
  // With the chart of the relay, to which that of Esteira has a link.
  renameSync(join(tree, 'charts'), join(folder, 'charts'))
  rmSync(tree, { recursive: true })
}
