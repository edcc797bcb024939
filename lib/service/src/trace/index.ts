export { markSpans } from './mark-spans.ts'
export { withAttributes, withHiding } from './marks.ts'
export { destinationName, messagingAttributes } from './messaging.ts'
export { contextAt, isSampled, spanContextOf, traceparentOf } from './traceparent.ts'
