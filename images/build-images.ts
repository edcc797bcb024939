import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { stageBase } from './base/stage-base.ts'
import { contentOf } from './content-of.ts'
import type { Engine, Plan } from './engine/engine.ts'
import { stageImages } from './stage/stage-images.ts'

/** The targets of the Dockerfile, by which images are named as well. */
export const targets = ['esteira', 'esteira-relay'] as const

/** An image, by its whole name. `isNew` is whether it was built now, or was there with the same content. */
export type BuiltImage = { target: (typeof targets)[number]; image: string; isNew: boolean }

type BuildOptions = {
  engine: Engine
  /** Where contexts are staged. */
  folder: string
  /** Before the names, such as `registry.example/team/`. */
  prefix: string
  tag: string
  /** The image that both are built on; 'own' makes one of what this machine has. Null takes the Dockerfile's. */
  base: string | null
}

/** Of what an image was made. */
const contentLabel = 'dev.esteira.content'

const versionLabel = 'org.opencontainers.image.version'

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')))

const dockerfile = join(import.meta.dirname, 'Dockerfile')

/** Builds both images of this tree, unless they are there. */
export const buildImages = async ({ engine, folder, prefix, tag, base }: BuildOptions): Promise<BuiltImage[]> => {
  const own = base === 'own' ? await buildBase(engine, join(folder, 'base')) : null
  const args = base === null ? {} : { BASE: own?.image ?? base }
  const contexts = join(folder, 'contexts')
  await stageImages(contexts)
  const built: BuiltImage[] = []
  for (const target of targets) {
    const image = `${prefix}${target}:${tag}`
    const content = contentOf([join(contexts, target), dockerfile], [JSON.stringify(args), version, own?.content ?? ''])
    const isNew = await buildOnce(engine, { image, dockerfile, target, context: contexts, args }, content)
    built.push({ target, image, isNew })
  }
  return built
}

const buildBase = async (engine: Engine, context: string): Promise<{ image: string; content: string }> => {
  stageBase(context)
  const plan = {
    image: `localhost/esteira-base:${process.version}`,
    dockerfile: join(import.meta.dirname, 'base/Dockerfile'),
    context,
  }
  const content = contentOf([context, plan.dockerfile])
  await buildOnce(engine, plan, content)
  return { image: plan.image, content }
}

const buildOnce = async (engine: Engine, plan: Omit<Plan, 'labels'>, content: string): Promise<boolean> => {
  if ((await engine.labelOf(plan.image, contentLabel)) === content) return false
  await engine.build({ ...plan, labels: { [contentLabel]: content, [versionLabel]: version } })
  return true
}
