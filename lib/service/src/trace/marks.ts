import { type Attributes, type Context, createContextKey } from '@opentelemetry/api'

/** What every span that begins within a context gets: whose it is. */
const attributesKey = createContextKey('esteira.attributes')

/** What of a span's text must not leave the process. */
const hidingKey = createContextKey('esteira.hiding')

export type InText = (text: string) => string

/** A context in which every span gets the attributes. */
export const withAttributes = (context: Context, attributes: Attributes): Context =>
  context.setValue(attributesKey, attributes)

/** A context in which all texts of every span go through `inText` before they are sent. */
export const withHiding = (context: Context, inText: InText): Context => context.setValue(hidingKey, inText)

export const attributesIn = (context: Context): Attributes | undefined => {
  const found = context.getValue(attributesKey)
  return isAttributes(found) ? found : undefined
}

export const hidingIn = (context: Context): InText | undefined => {
  const found = context.getValue(hidingKey)
  return isInText(found) ? found : undefined
}

const isAttributes = (value: unknown): value is Attributes => typeof value === 'object' && value !== null

const isInText = (value: unknown): value is InText => typeof value === 'function'
