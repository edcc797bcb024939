/** Characters of an expression, or of a name in it, that a fault shows at most: enough to find the place by. */
export const mostShown = 200

/** The part of a long text around a place in it, of `most` characters, with `...` for what is left out. */
export const excerpt = (text: string, most: number, place = 0): string => {
  if (text.length <= most) return text
  const from = Math.max(0, Math.min(place - most / 2, text.length - most))
  const part = text.slice(from, from + most).toWellFormed()
  return `${from > 0 ? '...' : ''}${part}${from + most < text.length ? '...' : ''}`
}

/** An expression as a fault shows it. */
export const shownExpression = (source: string, place?: number): string => `"{{${excerpt(source, mostShown, place)}}}"`
