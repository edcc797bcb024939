import { execFile } from 'node:child_process'
import { copyFileSync, globSync, readFileSync } from 'node:fs'
import { arch } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram, foldersOf, runToEnd } from '@esteira/dev/processes'
import { cached, toolLog, type Means } from './cache.ts'
import { fetchGo, type GoRelease } from './fetch-go.ts'
import { isAtLeast, minorOf } from './minor-version.ts'
import { versions } from './versions.ts'

/** Programs of a Go module that names everything it is built of, with its checksum, in go.mod and go.sum. */
export type GoPrograms = {
  name: string
  version: string
  /** The folder of its files. */
  module: string
  packages: readonly string[]
  linkerFlags: string
  /** What lies in a module that it is built of and is kept beside the programs, as a pattern in that module's folder. */
  files?: { of: string; pattern: string }
}

/**
 * The folder of a module's programs, built at the first time, by the Go of the PATH if it is new enough, else by a release
 * that is fetched.
 *
 * @throws when that cannot be had, and with the compiler's last words when it does not build.
 */
export const goPrograms = async (
  means: Means,
  programs: GoPrograms,
  release: GoRelease = versions.go,
): Promise<string> => {
  const { name, version, module, packages, linkerFlags, files } = programs
  const read = (file: string) => readFileSync(join(module, file), 'utf8')
  const sources = globSync('*', { cwd: module }).toSorted()
  const key = [...sources.map(read), ...packages, linkerFlags, arch(), ...(files ? [files.of, files.pattern] : [])]
  return cached(means.cache, {
    name,
    version,
    key,
    make: async (folder) => {
      const withGo = await envWithGo(means, module, release)
      const logFile = toolLog(means, name)
      means.tell(`building ${name} ${version}, once: ${logFile}`)
      const env = { ...withGo, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', GOWORK: 'off' }
      const words = ['build', '-trimpath', '-ldflags', linkerFlags, '-o', `${folder}/`, ...packages]
      await runToEnd('go', words, { env, cwd: module, logFile })
      if (files === undefined) return
      const asked = ['list', '-m', '-f', '{{.Dir}}', files.of]
      const from = (await promisify(execFile)('go', asked, { env, cwd: module })).stdout.trim()
      const found = globSync(files.pattern, { cwd: from })
      if (found.length === 0) throw new Error(`${files.of} has no ${files.pattern}`)
      for (const file of found) copyFileSync(join(from, file), join(folder, basename(file)))
    },
  })
}

/**
 * The environment with a Go on its PATH that a module takes: the one that is there, else a release, which is fetched once.
 *
 * @throws when it cannot be had.
 */
export const envWithGo = async (
  means: Means,
  module: string,
  release: GoRelease = versions.go,
): Promise<NodeJS.ProcessEnv> => {
  const [, least = ''] = /^go (\S+)$/m.exec(readFileSync(join(module, 'go.mod'), 'utf8')) ?? []
  if (await hasGo(means, least)) return means.env
  const go = await fetchGo(means, release)
  // A GOROOT is that of another Go.
  return { ...means.env, GOROOT: undefined, PATH: `${dirname(go)}:${means.env['PATH'] ?? ''}` }
}

/** Debian 12 has 1.19, which none of the modules takes. */
const hasGo = async ({ env }: Means, least: string): Promise<boolean> => {
  const go = findProgram('go', foldersOf(env['PATH'] ?? ''))
  if (go === undefined) return false
  const { stdout } = await promisify(execFile)(go, ['env', 'GOVERSION'], { env: { ...env, GOTOOLCHAIN: 'local' } })
  return isAtLeast(minorOf(stdout), minorOf(least))
}

const version = 'k8s.io/component-base/version'
const { major, minor } = minorOf(versions.kubernetes)

/** The programs of a node and of its control plane; with Go's cache empty they take 8 minutes on two cores. */
export const kubernetes: GoPrograms = {
  name: 'kubernetes',
  version: versions.kubernetes,
  module: join(import.meta.dirname, 'go/kubernetes'),
  packages: ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'].map(
    (program) => `k8s.io/kubernetes/cmd/${program}`,
  ),
  linkerFlags: `-s -w -X ${version}.gitVersion=v${versions.kubernetes} -X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`,
}

const ofKeda = 'github.com/kedacore/keda/v2'

/** KEDA's operator and its API of metrics, with the definitions of its resources; 9 minutes more, the first time. */
export const keda: GoPrograms = {
  name: 'keda',
  version: versions.keda,
  module: join(import.meta.dirname, 'go/keda'),
  packages: ['operator', 'adapter'].map((program) => `${ofKeda}/cmd/${program}`),
  linkerFlags: `-s -w -X ${ofKeda}/version.Version=${versions.keda}`,
  files: { of: ofKeda, pattern: 'config/crd/bases/*.yaml' },
}

/** One program, `pod`, that is all that an image needs. */
export const pod: GoPrograms = {
  name: 'pod',
  version: '1',
  module: join(import.meta.dirname, 'go/pod'),
  packages: ['.'],
  linkerFlags: '-s -w',
}
