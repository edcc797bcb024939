import { hash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch } from 'node:os'
import { join } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'
import type { Means } from '../tools/cache.ts'

/** The image of one static program: of every pod's sandbox, and of pods that need no program of Esteira. */
export const podImage = 'localhost/esteira-pod:1'

/** Writes it as an archive, in the format of `docker save`; the archive's file. */
export const writePodImage = async (
  { env }: Means,
  { program, folder }: { program: string; folder: string },
): Promise<string> => {
  const at = (name: string) => join(folder, 'pod-image', name)
  mkdirSync(at('root'), { recursive: true })
  copyFileSync(program, at('root/pod'))
  const running = { env, logFile: join(folder, 'pod-image.log') }
  await runToEnd('tar', ['-cf', at('layer.tar'), '--owner=0', '--group=0', '-C', at('root'), 'pod'], running)
  const config = {
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    os: 'linux',
    config: { Entrypoint: ['/pod'], Cmd: ['hold'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash('sha256', readFileSync(at('layer.tar')), 'hex')}`] },
  }
  writeFileSync(at('config.json'), JSON.stringify(config))
  writeFileSync(
    at('manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [podImage], Layers: ['layer.tar'] }]),
  )
  const archive = join(folder, 'pod-image.tar')
  await runToEnd('tar', ['-cf', archive, '-C', at('.'), 'manifest.json', 'config.json', 'layer.tar'], running)
  rmSync(at('.'), { recursive: true })
  return archive
}
