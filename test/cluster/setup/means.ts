import { cacheFolder, type Means } from '../tools/cache.ts'

/** What a run brings its tools with. */
export const meansOfRun = (): Means => ({
  cache: cacheFolder(process.env),
  env: process.env,
  tell: (line) => process.stderr.write(`${line}\n`),
})
