import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { stageBase } from './base/stage-base.ts'
import { contentOf } from './content-of.ts'
import type { Engine, Plan } from './engine/engine.ts'
import { setTimes } from './stage/set-times.ts'
import { stageImages, type Target, targets } from './stage/stage-images.ts'

/** An image, by its whole name. `isNew` is whether it was built now, or was there with the same content. */
export type BuiltImage = { target: Target; image: string; isNew: boolean }

type BuildOptions = {
  engine: Engine
  /** Where contexts are staged. */
  folder: string
  /** What the images and their files say of when they were made, seconds since 1970; 0 unless given. */
  epoch?: number
  /** Before the names, such as `registry.example/team/`. */
  prefix: string
  tag: string
  /** The image that both are built on; 'own' makes one of what this machine has. Null takes the Dockerfile's. */
  base: string | null
  /** Which of the two; both unless given. */
  only?: readonly Target[]
}

/** Of what an image was made. */
const contentLabel = 'dev.esteira.content'

const versionLabel = 'org.opencontainers.image.version'

/** https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md */
const baseLabels = { name: 'org.opencontainers.image.base.name', digest: 'org.opencontainers.image.base.digest' }

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')))

const dockerfile = join(import.meta.dirname, 'Dockerfile')

/**
 * Builds the images of this tree, unless they are there. Of one tree, one base and one time an engine builds the same
 * images, wherever and whenever it does.
 */
export const buildImages = async (options: BuildOptions): Promise<BuiltImage[]> => {
  const { engine, folder, prefix, tag, base, epoch = 0, only = targets } = options
  const name = base === 'own' ? await buildBase(engine, join(folder, 'base'), epoch) : (base ?? defaultBase())
  const pinned = await engine.pin(name)
  const args = { BASE: pinned.image }
  const contexts = join(folder, 'contexts')
  await stageImages(contexts, only)
  setTimes(contexts, epoch)
  const labels = { [versionLabel]: version, [baseLabels.name]: name, [baseLabels.digest]: pinned.digest }
  const settings = JSON.stringify({ args, labels, epoch })
  const built: BuiltImage[] = []
  for (const target of only) {
    const image = `${prefix}${target}:${tag}`
    const content = contentOf([join(contexts, target), dockerfile], [settings])
    const isNew = await buildOnce(
      engine,
      { image, dockerfile, target, context: contexts, args, labels, epoch },
      content,
    )
    built.push({ target, image, isNew })
  }
  return built
}

/** What the Dockerfile is built on when nobody says otherwise. */
const defaultBase = (): string => {
  const [, name] = /^ARG BASE=(\S+)$/m.exec(readFileSync(dockerfile, 'utf8')) ?? []
  if (name === undefined) throw new Error(`${dockerfile} names no BASE`)
  return name
}

const buildBase = async (engine: Engine, context: string, epoch: number): Promise<string> => {
  stageBase(context)
  setTimes(context, epoch)
  const image = `localhost/esteira-base:${process.version}`
  const file = join(import.meta.dirname, 'base/Dockerfile')
  const content = contentOf([context, file], [String(epoch)])
  await buildOnce(engine, { image, dockerfile: file, context, labels: {}, epoch }, content)
  return image
}

const buildOnce = async (engine: Engine, plan: Plan, content: string): Promise<boolean> => {
  if ((await engine.labelOf(plan.image, contentLabel)) === content) return false
  await engine.build({ ...plan, labels: { ...plan.labels, [contentLabel]: content } })
  return true
}
