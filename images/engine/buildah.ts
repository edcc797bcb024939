import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod'
import { buildWords, type Engine } from './engine.ts'

const run = promisify(execFile)

/** Whatever is built here is ours, and what it is built on is named by whoever builds. */
const policy = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] })

export type Buildah = Engine & {
  isInstalled: () => Promise<boolean>
  /** Makes a folder with an image's files, whole and our own; `gone` removes it. */
  unpack: (image: string) => Promise<{ folder: string; gone: () => Promise<void> }>
  configOf: (image: string) => Promise<ImageConfig>
}

const words = z.array(z.string()).nullish()
const configSchema = z.object({
  OCIv1: z.object({
    config: z.object({
      User: z.string().optional(),
      Env: words,
      Entrypoint: words,
      Cmd: words,
      WorkingDir: z.string().optional(),
      Labels: z.record(z.string(), z.string()).nullish(),
    }),
  }),
})

/** How an image is started, as it says itself. */
export type ImageConfig = z.infer<typeof configSchema>['OCIv1']['config']

/**
 * buildah, which needs no engine: as root, or as a user with subordinate ids. Its images lie in a folder of their own, in
 * copies and not in layers, and steps run by chroot: so it works in a container as well.
 */
export const buildah = (folder: string, env: NodeJS.ProcessEnv, program = 'buildah'): Buildah => {
  const policyFile = join(folder, 'policy.json')
  mkdirSync(folder, { recursive: true })
  writeFileSync(policyFile, policy)
  const place = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs']
  const ask = async (...asked: string[]): Promise<string> => {
    const options = { env: { ...env, BUILDAH_ISOLATION: 'chroot' }, maxBuffer: 2 ** 26 }
    const { stdout } = await run(program, [...place, ...asked], options)
    return stdout.trim()
  }
  const isThere = async (image: string): Promise<boolean> =>
    (await ask('images', '--format', '{{.Name}}:{{.Tag}}')).split('\n').includes(image)
  const configOf = async (image: string): Promise<ImageConfig> =>
    configSchema.parse(JSON.parse(await ask('inspect', '--type', 'image', image))).OCIv1.config
  return {
    name: 'buildah',
    isInstalled: () =>
      run(program, ['--version'], { env }).then(
        () => true,
        () => false,
      ),
    configOf,
    labelOf: async (image, label) =>
      (await isThere(image)) ? ((await configOf(image)).Labels?.[label] ?? null) : null,
    build: async (plan) => {
      await ask('build', '--signature-policy', policyFile, ...buildWords(plan))
      // What had the name before, with what a run that was killed had unpacked of it.
      await ask('rmi', '--prune', '--force')
    },
    save: async (image, file) =>
      void (await ask('push', '--signature-policy', policyFile, '--quiet', image, `oci-archive:${file}:${image}`)),
    unpack: async (image) => {
      const container = await ask('from', '--signature-policy', policyFile, '--pull-never', image)
      return { folder: await ask('mount', container), gone: async () => void (await ask('rm', container)) }
    },
  }
}
