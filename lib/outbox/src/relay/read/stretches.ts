/** How long the looks of one statement go on, milliseconds. Whatever else the relay reads and deletes waits meanwhile. */
export const lookMs = 50

/** Ids in a stretch. All of them may be dead rows of the lane, of which a million takes a second or so. */
export const stretchIds = 10_000

/** A look rests so many times as long as it took: it has a twentieth of the session. */
export const restPart = 20

/**
 * A part of a statement, one row: it comes down in a lane from the id `place`, stretch by stretch, to the first one that
 * has a row, and shows its last one (`found`) and how far it came (`reached`). Each stretch passes what it holds of rows
 * that are deleted and kept by somebody's snapshot: that may be all that was ever published, or nothing in a billion ids.
 * So it goes on for `forMs` from the statement's beginning; where `isFirst`, one stretch at least.
 */
export const stretches = (of: {
  lane: string
  place: string
  forMs: string
  isFirst: string
  condition?: string
}): string => {
  const { lane, place, forMs, isFirst, condition = 'true' } = of
  const isInTime = `clock_timestamp() < statement_timestamp() + ${forMs}::int * interval '1 ms'`
  const next = (from: string) => `greatest(${from} - ${stretchIds}, 0), (
          select max(id) from outbox_message
          where lane = ${lane} and id > greatest(${from} - ${stretchIds}, 0) and id <= ${from} and ${condition}
        )`
  return `
      with recursive stretch (reached, found) as (
        select ${next(place)}
        where ${isFirst} or ${isInTime}
        union all
        select ${next('stretch.reached')}
        from stretch
        where stretch.reached > 0 and stretch.found is null and ${isInTime}
      )
      select coalesce(min(reached), ${place}) as reached, max(found) as found from stretch`
}
