import { hash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'

/**
 * Brings an npm package, with nothing that it depends on, and unpacks it as `package` in the folder.
 *
 * @throws when it cannot be had, or is not the one of that integrity.
 */
export const fetchPackage = async (
  { spec, integrity }: { spec: string; integrity: string },
  { folder, env, logFile }: { folder: string; env: NodeJS.ProcessEnv; logFile: string },
): Promise<string> => {
  const options = ['--pack-destination', folder, '--ignore-scripts', '--prefer-offline']
  await runToEnd('npm', ['pack', spec, ...options], { env, logFile, cwd: folder })
  const [archive, ...more] = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
  if (archive === undefined || more.length > 0) throw new Error(`npm made no archive of ${spec}, or several`)
  const file = join(folder, archive)
  const found = `sha512-${hash('sha512', readFileSync(file), 'base64')}`
  if (found !== integrity) throw new Error(`${spec} has the checksum ${found} and should have ${integrity}`)
  await runToEnd('tar', ['-xzf', file, '-C', folder], { env, logFile })
  rmSync(file)
  return join(folder, 'package')
}
