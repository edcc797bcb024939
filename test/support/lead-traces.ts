import type { ReceivedSpan } from './otlp-receiver.ts'

/** A span with what is beneath it: `service: name`, then its children in the same way. */
export type Tree = [string, ...Tree[]]

/** What a span is the root of. The token is left out that all calls share: it is asked for by the first one. */
export const treeOf = (span: ReceivedSpan, all: readonly ReceivedSpan[]): Tree => {
  const children = all.filter(({ traceId, parent }) => traceId === span.traceId && parent === span.spanId)
  return [
    `${span.service}: ${span.name}`,
    ...children
      .map((child) => treeOf(child, all))
      .filter(([name]) => name !== askedForToken)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ]
}

/** In an order of their own, to be compared: traces come in any. */
export const inOrder = (trees: readonly Tree[]): string[] => trees.map((tree) => JSON.stringify(tree)).toSorted()

const api = 'esteira-rd-station-get-leads'
const database = 'esteira-database-query'
const askedForToken = `${api}: POST`

const beneathGetLeads: Tree[] = [
  [
    `${api}: process RdStation.getLeads`,
    [`${api}: commit RdStation.getLeads`],
    [`${api}: config RdStation.getLeads`],
    [`${api}: function RdStation.getLeads`, [`${api}: GET`]],
  ],
  ['esteira-relay: send RdStation.getLeads'],
]

const ofLead: Tree = [
  `${api}: create Database.query`,
  [
    `${database}: process Database.query`,
    [`${database}: commit Database.query`],
    [`${database}: config Database.query`],
    [`${database}: function Database.query`, [`${database}: INSERT`]],
  ],
  ['esteira-relay: send Database.query'],
]

/**
 * The traces of a run that a process has begun, from the example's tick to the rows of one page of leads: a tree a job,
 * by its root.
 */
export const tracesOfLeads = (origin: string, leads: number): Tree[] => [
  ...Array.from({ length: leads }, () => ofLead),
  [`${origin}: create CronJob`],
  [`${origin}: create RdStation.getLeads`, ...beneathGetLeads],
]
