/** A cell; null is a value that does not exist in this row. */
type Cell = string | number | null

/** Rows under their header as text: words to the left, numbers to the right. */
export const table = (header: readonly string[], rows: readonly (readonly Cell[])[]): string => {
  const texts = [header, ...rows.map((row) => row.map(textOf))]
  const widths = header.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)))
  const isNumeric = header.map((_, column) => rows.every((row) => typeof row[column] !== 'string'))
  const line = (row: readonly string[]) =>
    row
      .map((text, column) =>
        isNumeric[column] ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return `${texts.map(line).join('\n')}\n`
}

const textOf = (cell: Cell): string => {
  if (cell === null) return '-'
  return typeof cell === 'number' ? cell.toLocaleString('en-US', { maximumFractionDigits: 2 }) : cell
}
