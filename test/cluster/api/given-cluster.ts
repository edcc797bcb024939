import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/**
 * Writes the kubeconfig of a cluster that is there already as the tests have theirs: its current context alone, with
 * everything in it. @throws when it leads nowhere, or to an API server that does not answer.
 */
export const givenCluster = async (options: { kubectl: string; given: string; folder: string }): Promise<string> => {
  const run = promisify(execFile)
  const from = ['--kubeconfig', options.given]
  const flat = ['config', 'view', '--raw', '--minify', '--flatten', '--output', 'json']
  const { stdout } = await run(options.kubectl, [...from, ...flat])
  await run(options.kubectl, [...from, 'get', '--raw', '/readyz'])
  const file = join(options.folder, 'given.kubeconfig')
  writeFileSync(file, stdout, { mode: 0o600 })
  return file
}
