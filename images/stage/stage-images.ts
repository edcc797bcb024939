import { globSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { bundleTick } from '@esteira/cron-job/bundle'
import { bundleRelay } from '@esteira/sidecar/bundle'
import { copyFile, copyPackages, letAllRead } from './copy-packages.ts'
import { bundledPackages, licencesOf } from './licences.ts'
import { neededPackages } from './needed-packages.ts'

const root = resolve(import.meta.dirname, '../..')

/**
 * Fills the Dockerfile's context. In `esteira` there are the sources of the services with the packages that they need, and the
 * tick as a bundle besides; in `esteira-relay` the relay as a bundle. What was in the folder before goes.
 */
export const stageImages = async (folder: string): Promise<void> => {
  const [esteira, relay] = [join(folder, 'esteira'), join(folder, 'esteira-relay')]
  rmSync(folder, { recursive: true, force: true })
  copyPackages(root, neededPackages(root, services()), esteira)
  await bundleTick(join(esteira, 'workers/cron-job/dist/main.js'), esteira)
  await bundleRelay(join(relay, 'main.js'), relay)
  // In `esteira` the packages of the tick's bundle lie beside it, each with its licence.
  writeFileSync(join(relay, 'THIRD-PARTY-LICENSES'), licencesOf(root, bundledPackages(relay)))
  for (const image of [esteira, relay]) copyFile(join(root, 'LICENSE'), join(image, 'LICENSE'))
  letAllRead(folder)
}

const services = (): string[] => ['control-plane', ...globSync('workers/*/package.json', { cwd: root }).map(dirname)]
