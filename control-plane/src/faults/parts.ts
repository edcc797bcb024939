import type { Fault } from '@esteira/workflow'

/** The faults of a part, as faults of the whole. */
export const within = (part: string, faults: readonly Fault[]): Fault[] =>
  faults.map(({ pointer, message }) => ({ pointer: part + pointer, message }))

/** Those faults of a whole that are inside a part, as faults of the part. */
export const inside = (part: string, faults: readonly Fault[]): Fault[] =>
  faults
    .filter(({ pointer }) => pointer.startsWith(`${part}/`))
    .map(({ pointer, message }) => ({ pointer: pointer.slice(part.length), message }))
