/** A row that was committed: its place in its transaction, and when the commit was sent and answered, by one clock. */
export type Written = { key: string; position: number; sent: number; done: number }

/**
 * Where the order of arrival contradicts that of the commits, by key. A commit that was answered before another one was
 * sent came first; of two that overlap either may have. A row that arrives again must not come after a later one.
 */
export const orderFaults = (received: readonly string[], written: ReadonlyMap<string, Written>): string[] => {
  const newest = new Map<string, { id: string; row: Written }>()
  const faults: string[] = []
  for (const id of received) {
    const row = written.get(id)
    if (row === undefined) {
      faults.push(`${id} was not committed`)
      continue
    }
    const before = newest.get(row.key)
    const isOvertaken =
      before !== undefined &&
      (before.row.sent > row.done || (before.row.sent === row.sent && before.row.position > row.position))
    if (isOvertaken) faults.push(`${id} of ${row.key} came after ${before.id}, which was committed later`)
    if (before === undefined || row.sent >= before.row.sent) newest.set(row.key, { id, row })
  }
  return faults
}
