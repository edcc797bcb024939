import { relative, resolve } from 'node:path'
import { pack, publishedFolders } from './pack.ts'

/**
 * Packs the package in whose folder npm runs this, or all of them from the root, into that folder or the one that is
 * named.
 */
const folder = relative(resolve(import.meta.dirname, '../../..'), process.cwd())
const destination = resolve(process.env['INIT_CWD'] ?? process.cwd(), process.argv[2] ?? process.cwd())
const tarballs = await pack(folder === '' ? publishedFolders : [folder], destination)
process.stdout.write(`${tarballs.join('\n')}\n`)
