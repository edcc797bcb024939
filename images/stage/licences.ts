import { globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import * as z from 'zod'

const map = z.object({ sources: z.array(z.string().nullable()) })
const manifest = z.object({ name: z.string(), version: z.string(), license: z.string().optional().catch(undefined) })

/** A file with a licence or a notice: copies have to have it. */
export const isLicence = (file: string): boolean => /(^|\/)(licen[cs]e|notice|copying)[^/]*$/i.test(file)

const isReadme = (file: string): boolean => /^readme(\.[a-z]+)?$/i.test(file)

/** The files of a package that say what its licence is: its README where it has no file for that. */
export const licenceFilesOf = (folder: string): string[] => {
  const files = readdirSync(folder, { withFileTypes: true }).flatMap((file) => (file.isFile() ? [file.name] : []))
  const found = files.filter(isLicence)
  return (found.length > 0 ? found : files.filter(isReadme)).toSorted()
}

/** The packages that went into the bundles of a folder, as the bundles' source maps name them, from the root of the tree. */
export const bundledPackages = (folder: string): string[] => {
  const found = globSync('**/*.map', { cwd: folder }).flatMap((file) => {
    const { sources } = map.parse(JSON.parse(readFileSync(join(folder, file), 'utf8')))
    return sources.flatMap((source) => {
      const path = source === null ? '' : relative(folder, resolve(folder, dirname(file), source))
      return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []
    })
  })
  return [...new Set(found)].toSorted()
}

/** The licences of packages in one text, each under the name and version of its package. */
export const licencesOf = (root: string, packages: readonly string[]): string =>
  packages
    .map((folder) => {
      const { name, version, license } = manifest.parse(
        JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')),
      )
      const texts = licenceFilesOf(join(root, folder)).map((file) =>
        readFileSync(join(root, folder, file), 'utf8').trim(),
      )
      return [`${name} ${version} (${license ?? 'no licence is named'})`, ...texts].join('\n\n')
    })
    .join(`\n\n${'-'.repeat(80)}\n\n`)
    .concat('\n')
