const firstAfter = (key: string, lane: string, floor: string): string => `
      select ordering_key, id from outbox_message
      where lane = ${lane} and ordering_key > ${key} and id > ${floor}
      order by ordering_key, id
      limit 1`

/**
 * A part of a statement: the table `first`, which steps by index from key to key, after `key`, and shows the first row
 * of each, with its position. Which keys are to be left out is looked at where it is read, so one with many rows is
 * passed in one step as well.
 */
export const keySteps = (key: string, lane: string, floor: string): string => `
    recursive first as (
      select next.*, 1 as position from (${firstAfter(key, lane, floor)}) as next
      union all
      select next.ordering_key, next.id, first.position + 1
      from first, lateral (${firstAfter('first.ordering_key', lane, floor)}) as next
    )`

/**
 * Whether the key of `first` has no parked row. It is asked as a value, one index look-up a key: of a `not exists` Postgres
 * may make a join with all that is parked, and sort the lane for it.
 */
export const isNotParked = (lane: string): string =>
  `(select true from outbox_parked where lane = ${lane} and ordering_key = first.ordering_key limit 1) is null`

/**
 * Whether a condition holds for the row of `first`. Asked as a value, too: the row is looked up only for a key that is free
 * otherwise.
 */
export const isFirst = (lane: string, condition: string): string =>
  `(select ${condition} from outbox_message where lane = ${lane} and id = first.id)`

/** Rows without a key, which hold each other back as those of one key do. */
export const strayCondition = (lane: string, floor: string): string => `
      lane = ${lane} and id > ${floor} and coalesce(ordering_key, '') = ''
        and not exists (select from outbox_parked where lane = ${lane} and coalesce(ordering_key, '') = '')`
