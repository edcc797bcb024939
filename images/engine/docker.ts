import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { buildWords, type Engine } from './engine.ts'

const run = promisify(execFile)

/** Docker, by its client. */
export const docker = (env: NodeJS.ProcessEnv): Engine => {
  const ask = async (...words: string[]): Promise<string> => {
    const { stdout } = await run('docker', words, { env, maxBuffer: 2 ** 26 })
    return stdout.trim()
  }
  return {
    name: 'docker',
    labelOf: async (image, label) => {
      if ((await ask('image', 'ls', '--quiet', image)) === '') return null
      const value = await ask('image', 'inspect', '--format', `{{index .Config.Labels "${label}"}}`, image)
      return value === '' ? null : value
    },
    build: async (plan) => void (await ask('build', ...buildWords(plan))),
    save: async (image, file) => void (await ask('image', 'save', '--output', file, image)),
  }
}
