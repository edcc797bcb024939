import { mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { buildImages } from './build-images.ts'
import { findEngine } from './engine/find-engine.ts'
import { imagesFolder } from './folder.ts'
import { readOptions, usage } from './options.ts'

const root = resolve(import.meta.dirname, '..')

const write = (line: string) => process.stdout.write(`${line}\n`)

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
const read = readOptions(process.argv.slice(2), { version, sourceDateEpoch: process.env['SOURCE_DATE_EPOCH'] })
if (read.ok) {
  const { archives, ...options } = read.options
  const engine = await findEngine(join(imagesFolder, 'buildah'), process.env)
  for (const { target, image, isNew } of await buildImages({ engine, folder: imagesFolder, ...options })) {
    write(`${image} ${isNew ? 'built' : 'is there already'} (${engine.name})`)
    if (archives === null) continue
    const file = resolve(process.env['INIT_CWD'] ?? root, archives, `${target}.tar`)
    mkdirSync(join(file, '..'), { recursive: true })
    await engine.save(image, file)
    write(file)
  }
} else {
  for (const problem of read.problems) process.stderr.write(`${problem}\n`)
  process.stderr.write(usage)
  process.exitCode = 2
}
