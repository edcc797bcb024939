import type { OwnedLane } from '../lane/owned-lane.ts'
import { isFirst, isNotParked, keySteps } from './key-steps.ts'
import { hashed } from './left-out.ts'
import { parseId } from './remember-rows.ts'

/**
 * How far below the last row that was read a search for a companion goes, in ids. All that lies there is passed one by one,
 * also what is deleted and still in somebody's snapshot.
 */
const searchedIds = 20_000

/**
 * Finds for closed destinations whose probe is due a row each to go along with it: the last one, that was never tried. An
 * exchange may go by the headers of a message, and what no queue takes then says nothing of others that have the same
 * routing key. If the other one is taken, the destination is open and the probe is held for its own sake.
 *
 * Locks nothing.
 */
export const findCompanions = async ({ session, lane, pointers, held, known }: OwnedLane): Promise<bigint[]> => {
  const doubtful = held.doubtful().filter(({ probe }) => !known.has(probe))
  if (doubtful.length === 0) return []
  const above = String(pointers.cursor() - BigInt(searchedIds))
  const { rows } = await session.query(findCompanionsSql, [lane, ...columnsOfDoubtful(doubtful), above])
  return idsOf(rows).filter((id) => !known.has(id))
}

/** The same in a key lane, for one of them: the first row of a key that is free but for that. */
export const findKeyCompanion = async ({ session, lane, pointers, held, known }: OwnedLane): Promise<bigint[]> => {
  const doubtful = held.doubtful().filter(({ probe }) => !known.has(probe))
  if (doubtful.length === 0) return []
  const values = [lane, ...columnsOfDoubtful(doubtful), String(pointers.floor()), held.waitingKeys()]
  const { rows } = await session.query({ ...findKeyCompanionSql, mayTakeLong: pointers.isFarBack() }, values)
  return idsOf(rows).filter((id) => !known.has(id))
}

const columnsOfDoubtful = (doubtful: ReturnType<OwnedLane['held']['doubtful']>) => [
  doubtful.map(({ exchange }) => exchange),
  doubtful.map(({ routingKey }) => routingKey),
  doubtful.map(({ lastTried }) => String(lastTried)),
]

const idsOf = (rows: readonly unknown[]): bigint[] => rows.map(parseId).filter((id) => id !== null)

const doubtfulRows = 'unnest($2::text[], $3::text[], $4::bigint[]) as doubtful (exchange, routing_key, last_tried)'

const findCompanionsSql = {
  name: 'find_companions',
  text: `
    select companion.id
    from ${doubtfulRows}, lateral (
      select id from outbox_message
      where lane = $1 and id > greatest(doubtful.last_tried, $5::bigint)
        and exchange = doubtful.exchange and routing_key = doubtful.routing_key
      order by id desc
      limit 1
    ) as companion`,
}

const isInDoubt = `exists (
        select from ${doubtfulRows}
        where outbox_message.exchange = doubtful.exchange and outbox_message.routing_key = doubtful.routing_key
          and outbox_message.id > doubtful.last_tried
      )`

const findKeyCompanionSql = {
  name: 'find_key_companion',
  text: `
    with ${keySteps("''", '$1', '$5')}
    select id from first
    where ordering_key not in ${hashed('$6::text[]')} and ${isFirst('$1', isInDoubt)} and ${isNotParked('$1')}
    limit 1`,
}
