import { isMap, isNode, isPair, isScalar, parseDocument, type YAMLMap } from 'yaml'

/** A value as its file has it: what is said above it, and what it is unless given. One that holds others has no default. */
export type Described = { path: readonly string[]; about: string; fallback: string | null }

/** Every value of a values.yaml, in its order. */
export const readValues = (text: string): Described[] => {
  const document = parseDocument(text)
  const [error] = document.errors
  if (error !== undefined) throw error
  if (!isMap(document.contents)) throw new Error('values.yaml has to be a map')
  return describe(document.contents, [], null)
}

/** What is said above the first key of a map is the map's, as the parser has it. */
const describe = (map: YAMLMap, path: readonly string[], aboutFirst: string | null): Described[] =>
  map.items.flatMap((item, index): Described[] => {
    if (!isPair(item) || !isScalar(item.key)) throw new Error(`${path.join('.')} has a key that is none`)
    const { key, value } = item
    const about = lastParagraph(key.commentBefore ?? (index === 0 ? aboutFirst : null) ?? '')
    const place = [...path, String(key.value)]
    if (!isNode(value)) throw new Error(`${place.join('.')} has no value`)
    if (!isMap(value) || value.items.length === 0) return [{ path: place, about, fallback: JSON.stringify(value) }]
    const inner = describe(value, place, value.commentBefore ?? null)
    return [{ path: place, about, fallback: null }, ...inner]
  })

/** The lines right above a key as one. What an empty line sets apart is about something else. */
const lastParagraph = (comment: string): string => {
  const paragraph = comment.split(/\n\s*\n/).at(-1) ?? ''
  return paragraph
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim()
}
