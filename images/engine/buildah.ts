import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod'
import { buildWords, type Engine, isLocal, repositoryOf } from './engine.ts'

const run = promisify(execFile)

/** Whatever is built here is ours, and what it is built on is named by whoever builds. */
const policy = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] })

export type Buildah = Engine & {
  isInstalled: () => Promise<boolean>
  /** Makes a folder with an image's files, whole and our own; `gone` removes it. */
  unpack: (image: string) => Promise<{ folder: string; gone: () => Promise<void> }>
  configOf: (image: string) => Promise<ImageConfig>
  /** By what two images with the same files and settings are the same. */
  idOf: (image: string) => Promise<string>
  /** Pushes an image to a registry, as who has logged in there; `isPlain` is without TLS. */
  push: (image: string, to: { name: string; isPlain: boolean }) => Promise<void>
  /** Gives an image one name more. */
  tag: (image: string, name: string) => Promise<void>
}

const words = z.array(z.string()).nullish()
const imageSchema = z.object({
  FromImageID: z.string(),
  FromImageDigest: z.string(),
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
export type ImageConfig = z.infer<typeof imageSchema>['OCIv1']['config']

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
  const inspect = async (image: string) => imageSchema.parse(JSON.parse(await ask('inspect', '--type', 'image', image)))
  const configOf = async (image: string): Promise<ImageConfig> => (await inspect(image)).OCIv1.config
  return {
    name: 'buildah',
    isInstalled: () =>
      run(program, ['--version'], { env }).then(
        () => true,
        () => false,
      ),
    configOf,
    idOf: async (image) => (await inspect(image)).FromImageID,
    tag: async (image, name) => void (await ask('tag', image, name)),
    pin: async (image) => {
      try {
        if (!isLocal(image)) await ask('pull', '--signature-policy', policyFile, '--quiet', '--policy', 'always', image)
      } catch (error) {
        if (!(await isThere(image))) throw error
      }
      const { FromImageDigest: digest } = await inspect(image)
      return { image: `${repositoryOf(image)}@${digest}`, digest }
    },
    labelOf: async (image, label) =>
      (await isThere(image)) ? ((await configOf(image)).Labels?.[label] ?? null) : null,
    build: async ({ epoch, ...plan }) => {
      await ask('build', '--signature-policy', policyFile, '--timestamp', String(epoch), ...buildWords(plan))
      // What had the name before, with what a run that was killed had unpacked of it.
      await ask('rmi', '--prune', '--force')
    },
    save: async (image, file) => {
      // As Docker saves it: it costs seconds, and who pushes the image compresses it anyway.
      const how = ['--signature-policy', policyFile, '--quiet', '--disable-compression']
      await ask('push', ...how, image, `oci-archive:${file}:${image}`)
    },
    push: async (image, { name, isPlain }) => {
      const how = ['--signature-policy', policyFile, '--quiet', `--tls-verify=${!isPlain}`]
      await ask('push', ...how, image, `docker://${name}`)
    },
    unpack: async (image) => {
      const container = await ask('from', '--signature-policy', policyFile, '--pull-never', image)
      return { folder: await ask('mount', container), gone: async () => void (await ask('rm', container)) }
    },
  }
}
