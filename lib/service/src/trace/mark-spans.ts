import type { Attributes } from '@opentelemetry/api'
import type { Span, SpanProcessor } from '@opentelemetry/sdk-trace'
import { attributesIn, hidingIn, type InText } from './marks.ts'

/**
 * Puts on each span, whoever began it, whose it is, and takes the secrets of its job out of its texts. It comes before the
 * processors that send.
 */
export const markSpans = (): SpanProcessor => {
  const hiding = new WeakMap<Span, InText>()
  return {
    onStart: (span, context) => {
      const attributes = attributesIn(context)
      if (attributes !== undefined) span.setAttributes(attributes)
      const inText = hidingIn(context)
      if (inText !== undefined) hiding.set(span, inText)
    },
    // The last moment at which a span can be changed.
    onEnding: (span) => {
      const inText = hiding.get(span)
      if (inText !== undefined) hideIn(span, inText)
    },
    onEnd: () => {},
    forceFlush: async () => {},
    shutdown: async () => {},
  }
}

const hideIn = (span: Span, inText: InText): void => {
  span.updateName(inText(span.name))
  if (span.status.message !== undefined) span.status.message = inText(span.status.message)
  hideInAttributes(span.attributes, inText)
  for (const event of span.events) {
    event.name = inText(event.name)
    if (event.attributes !== undefined) hideInAttributes(event.attributes, inText)
  }
  for (const { attributes } of span.links) if (attributes !== undefined) hideInAttributes(attributes, inText)
}

const hideInAttributes = (attributes: Attributes, inText: InText): void => {
  for (const [name, value] of Object.entries(attributes)) {
    const hiddenName = inText(name)
    if (hiddenName !== name) delete attributes[name]
    attributes[hiddenName] = hideInValue(value, inText)
  }
}

const hideInValue = (value: unknown, inText: InText): unknown => {
  if (typeof value === 'string') return inText(value)
  if (Array.isArray(value)) return value.map((item) => hideInValue(item, inText))
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [inText(name), hideInValue(part, inText)]))
}
