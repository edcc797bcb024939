import { diff } from 'node:util'

const context = 3

/** How two texts differ, line by line with a few lines around, or null when they do not. */
export const describeDifference = (before: string, after: string): string | null => {
  if (before === after) return null
  // 1 is a line that only the first text has, -1 one that only the second has.
  const lines = diff(before.split('\n'), after.split('\n'))
  const near = new Set(
    lines.flatMap(([operation], index) =>
      operation === 0 ? [] : Array.from({ length: 2 * context + 1 }, (_, offset) => index + offset - context),
    ),
  )
  const shown = lines.flatMap(([operation, line], index) => {
    if (!near.has(index)) return near.has(index - 1) ? ['...'] : []
    return [`${operation === 0 ? ' ' : operation > 0 ? '-' : '+'} ${line}`]
  })
  return `${shown.join('\n')}\n`
}
