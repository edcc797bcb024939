import { globSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { bundleTick } from '@esteira/cron-job/bundle'
import { bundleRelay } from '@esteira/sidecar/bundle'
import { copyFile, copyPackages, letAllRead } from './copy-packages.ts'
import { bundledPackages, licencesOf } from './licences.ts'
import { neededPackages } from './needed-packages.ts'

const root = resolve(import.meta.dirname, '../..')

/** The targets of the Dockerfile, by which images and what goes into them are named as well. */
export const targets = ['esteira', 'esteira-relay'] as const
export type Target = (typeof targets)[number]

/** Fills the Dockerfile's context with what goes into these images. What was in the folder before goes. */
export const stageImages = async (folder: string, only: readonly Target[]): Promise<void> => {
  rmSync(folder, { recursive: true, force: true })
  for (const target of only) {
    const context = join(folder, target)
    await stage[target](context)
    copyFile(join(root, 'LICENSE'), join(context, 'LICENSE'))
  }
  letAllRead(folder)
}

const stage: Readonly<Record<Target, (context: string) => Promise<void>>> = {
  /** The sources of the services with the packages that they need, and the tick as a bundle besides. */
  esteira: async (context) => {
    copyPackages(root, neededPackages(root, services()), context)
    // The packages of the bundle lie beside it, each with its licence.
    await bundleTick(join(context, 'workers/cron-job/dist/main.js'), context)
  },
  /** The relay as a bundle. */
  'esteira-relay': async (context) => {
    await bundleRelay(join(context, 'main.js'), context)
    writeFileSync(join(context, 'THIRD-PARTY-LICENSES'), licencesOf(root, bundledPackages(context)))
  },
}

const services = (): string[] => ['control-plane', ...globSync('workers/*/package.json', { cwd: root }).map(dirname)]
