import { fileURLToPath } from 'node:url'

/**
 * Has this process, those that tests run in, and the programs that they start, keep the code that Node compiled, beside
 * that of earlier runs. A start of one of our programs takes about half the work then, and tests start hundreds.
 */
export const keepCompiled = (): void => {
  process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url))
}

/** That of the environment, for programs that get nothing else of it. */
export const compileCache = (): Record<string, string> => {
  const folder = process.env['NODE_COMPILE_CACHE']
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder }
}
