import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { copyFile, letAllRead } from '../stage/copy-packages.ts'

/** The user of distroless images, by the number that is written into the Dockerfile. */
const accounts = {
  passwd: 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n',
  group: 'root:x:0:\nnonroot:x:65532:\n',
  'nsswitch.conf': 'hosts: files dns\n',
}

const certificates = '/etc/ssl/certs/ca-certificates.crt'

/**
 * Fills the context of a base image with what distroless has, taken from this machine: the Node that runs this, the libraries
 * that it is linked to, and no shell. For where no registry can be reached.
 *
 * @throws Error on a machine without glibc.
 */
export const stageBase = (folder: string): void => {
  rmSync(folder, { recursive: true, force: true })
  const node = realpathSync(process.execPath)
  copyFile(node, join(folder, 'nodejs/bin/node'))
  for (const library of librariesOf(node)) copyFile(library, join(folder, library))
  for (const [name, text] of Object.entries(accounts)) {
    mkdirSync(join(folder, 'etc'), { recursive: true })
    writeFileSync(join(folder, 'etc', name), text)
  }
  for (const [name, file] of licencesOf(node)) copyFile(file, join(folder, 'usr/share/doc', name, 'copyright'))
  if (existsSync(certificates)) copyFile(certificates, join(folder, certificates))
  mkdirSync(join(folder, 'tmp'))
  letAllRead(folder)
  chmodSync(join(folder, 'tmp'), 0o1777)
}

/** Licences by what they are of: a release of Node and the npm package `node` have its, Debian those of the libraries. */
const licencesOf = (node: string): [string, string][] => {
  const installed = dirname(dirname(node))
  const places: [string, string][] = [
    ['nodejs', join(installed, 'LICENSE')],
    ['nodejs', join(installed, `node_modules/node-${process.platform}-${process.arch}/LICENSE`)],
    ...['libc6', 'libgcc-s1', 'libstdc++6'].map((name): [string, string] => [name, `/usr/share/doc/${name}/copyright`]),
  ]
  return places.filter(([, file]) => existsSync(file))
}

/** The loader and the libraries, by the paths under which the loader looks for them. */
const librariesOf = (program: string): string[] => {
  const told = execFileSync('ldd', [program], { encoding: 'utf8' })
  const paths = [...told.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path = '']) => path)
  if (!paths.some((path) => path.includes('/ld-linux'))) throw new Error(`ldd tells of no loader of glibc:\n${told}`)
  return paths
}
