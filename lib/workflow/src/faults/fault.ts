/** One thing wrong with a document: where, as a JSON pointer into it (`/steps/0/config`), and what. */
export type Fault = { pointer: string; message: string }

/** The JSON pointer (RFC 6901) of a path. */
export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((name) => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
