import type { OwnedLane } from '../lane/owned-lane.ts'
import type { Destination } from '../settle/closed-destinations.ts'

/**
 * A part of a statement: what the parameter holds, for `not in`. Postgres searches that by hash, and `<> all (...)` of a
 * parameter from its beginning for every row. The inner select hides how many there are: of more than fit in `work_mem`
 * by its estimate it makes no hash, and passes them one by one again.
 */
export const hashed = (parameter: string): string => `(select unnest((select ${parameter})))`

/** The same for rows, whose columns are the parameters. None may be null: Postgres compares a row that has one with each. */
export const hashedRows = (...parameters: string[]): string =>
  `(select * from unnest(${parameters.map((parameter) => `(select ${parameter})`).join(', ')}))`

/** Destinations as a statement takes them for `isToOpen`: the columns of those with a routing key, and whole exchanges. */
export const columnsOf = (
  destinations: readonly Destination[],
): [exchanges: string[], routingKeys: string[], wholes: string[]] => {
  const columns: ReturnType<typeof columnsOf> = [[], [], []]
  const [exchanges, routingKeys, wholes] = columns
  for (const { exchange, routingKey } of destinations) {
    if (routingKey === null) {
      wholes.push(exchange)
    } else {
      exchanges.push(exchange)
      routingKeys.push(routingKey)
    }
  }
  return columns
}

/** The same of several lanes at once: each destination, and each whole exchange, behind the lane in which it is closed. */
export const columnsOfAll = (lanes: readonly Pick<OwnedLane, 'lane' | 'held'>[]) => {
  const columns = lanes.map(({ lane, held }) => ({ lane, closed: columnsOf(held.closed()) }))
  return [
    columns.flatMap(({ lane, closed: [exchanges] }) => exchanges.map(() => lane)),
    columns.flatMap(({ closed: [exchanges] }) => exchanges),
    columns.flatMap(({ closed: [, routingKeys] }) => routingKeys),
    columns.flatMap(({ lane, closed: [, , wholes] }) => wholes.map(() => lane)),
    columns.flatMap(({ closed: [, , wholes] }) => wholes),
  ]
}

/**
 * A part of a statement: whether a row of `outbox_message` is read that is the first one of its key, while all keys up to
 * `resting` (null: all) rest but for rows to these queues.
 */
export const doesNotRest = (resting: string, isToTaker: string): string =>
  `(ordering_key > ${resting} or exchange <> '' or ${isToTaker})`

/** A part of a statement: whether a row of `outbox_message` is to none of these destinations. */
export const isToOpen = (exchanges: string, routingKeys: string, wholes: string): string =>
  `((exchange, routing_key) not in ${hashedRows(exchanges, routingKeys)} and exchange not in ${hashed(wholes)})`
