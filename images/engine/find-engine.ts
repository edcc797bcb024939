import { engineAnswers } from '@esteira/dev/stack'
import { buildah } from './buildah.ts'
import { docker } from './docker.ts'
import type { Engine } from './engine.ts'

/**
 * Docker where an engine of it answers, else buildah, whose images lie in the folder.
 *
 * @throws Error where there is neither.
 */
export const findEngine = async (folder: string, env: NodeJS.ProcessEnv): Promise<Engine> => {
  if (await engineAnswers(env)) return docker(env)
  const found = buildah(folder, env)
  if (await found.isInstalled()) return found
  throw new Error('no Docker engine answers, and there is no buildah: install one of them (apt-get install buildah)')
}
