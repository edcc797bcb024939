import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as z from 'zod'
import { buildWords, type Engine, isLocal, repositoryOf } from './engine.ts'

const run = promisify(execFile)

/** Docker, by its client. */
export const docker = (env: NodeJS.ProcessEnv): Engine => {
  const askWith = async (more: NodeJS.ProcessEnv, ...words: string[]): Promise<string> => {
    const { stdout } = await run('docker', words, { env: { ...env, ...more }, maxBuffer: 2 ** 26 })
    return stdout.trim()
  }
  const ask = (...words: string[]): Promise<string> => askWith({}, ...words)
  return {
    name: 'docker',
    labelOf: async (image, label) => {
      if ((await ask('image', 'ls', '--quiet', image)) === '') return null
      const value = await ask('image', 'inspect', '--format', `{{index .Config.Labels "${label}"}}`, image)
      return value === '' ? null : value
    },
    pin: async (image) => {
      try {
        if (!isLocal(image)) await ask('pull', '--quiet', image)
      } catch (error) {
        if ((await ask('image', 'ls', '--quiet', image)) === '') throw error
      }
      const [{ Id, RepoDigests }] = inspected.parse(JSON.parse(await ask('image', 'inspect', image)))
      const known = RepoDigests?.find((digest) => repositoryOf(digest) === repositoryOf(image))
      // One that was built here has no digest of a registry, and cannot be named by its own.
      return known === undefined ? { image, digest: Id } : { image: known, digest: known.replace(/^.*@/, '') }
    },
    build: async ({ epoch, ...plan }) =>
      void (await askWith({ SOURCE_DATE_EPOCH: String(epoch) }, 'build', ...buildWords(plan))),
    save: async (image, file) => void (await ask('image', 'save', '--output', file, image)),
  }
}

const inspected = z.tuple([z.object({ Id: z.string(), RepoDigests: z.array(z.string()).nullish() })])
