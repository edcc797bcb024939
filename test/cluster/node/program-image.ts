import { hash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch } from 'node:os'
import { basename, join } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'
import type { Means } from '../tools/cache.ts'

type ProgramImage = {
  image: string
  /** Static programs, each of which lies at the top of the image by its own name. */
  files: readonly string[]
  folder: string
  /** How it is started, as an image says it. */
  config?: object
}

/** Writes an image that holds programs and nothing else, in the format of `docker save`; the archive's file. */
export const writeProgramImage = async (
  { env }: Means,
  { image, files, folder, config = {} }: ProgramImage,
): Promise<string> => {
  const at = (name: string) => join(folder, 'program-image', name)
  mkdirSync(at('root'), { recursive: true })
  for (const file of files) copyFileSync(file, at(`root/${basename(file)}`))
  const running = { env, logFile: join(folder, 'program-image.log') }
  await runToEnd('tar', ['-cf', at('layer.tar'), '--owner=0', '--group=0', '-C', at('root'), '.'], running)
  const settings = {
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash('sha256', readFileSync(at('layer.tar')), 'hex')}`] },
  }
  writeFileSync(at('config.json'), JSON.stringify(settings))
  writeFileSync(
    at('manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [image], Layers: ['layer.tar'] }]),
  )
  const archive = join(folder, 'program-image.tar')
  await runToEnd('tar', ['-cf', archive, '-C', at('.'), 'manifest.json', 'config.json', 'layer.tar'], running)
  rmSync(at('.'), { recursive: true })
  return archive
}
