/** One thing wrong with a document: where, as a JSON pointer into it (`/steps/0/config`), and what. */
export type Fault = { pointer: string; message: string }

/** The JSON pointer (RFC 6901) of a path. */
export const pointerOf = (path: readonly PropertyKey[]): string =>
  path.map((name) => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

/** The faults of a part, as faults of the whole. */
export const within = (part: string, faults: readonly Fault[]): Fault[] =>
  faults.map(({ pointer, message }) => ({ pointer: part + pointer, message }))

/** Those faults of a whole that are inside a part, as faults of the part. */
export const inside = (part: string, faults: readonly Fault[]): Fault[] =>
  faults
    .filter(({ pointer }) => pointer.startsWith(`${part}/`))
    .map(({ pointer, message }) => ({ pointer: pointer.slice(part.length), message }))
