import type { Described } from './read-values.ts'

/** The values as a page has them: a section for each that holds others, and one list of the rest before it. */
export const describeValues = (values: readonly Described[]): string => {
  const [single, groups] = [values.filter(isSingle), values.filter((value) => isGroup(value))]
  const sections = groups.map(({ path, about }) => {
    const [name = ''] = path
    const inner = values.filter((value) => value.path.length > 1 && value.path[0] === name)
    return [`### ${name}`, ...(about === '' ? [] : [wrap(about)]), table(inner)].join('\n\n')
  })
  return [...(single.length === 0 ? [] : [table(single)]), ...sections].join('\n\n')
}

const isSingle = ({ path, fallback }: Described): boolean => path.length === 1 && fallback !== null

const isGroup = ({ path, fallback }: Described): boolean => path.length === 1 && fallback === null

/** Columns as wide as their widest cell: as the formatter of this tree leaves them. */
const table = (values: readonly Described[]): string => {
  const rows = values
    // A name that says nothing and holds others would be an empty row.
    .filter(({ about, fallback }) => about !== '' || fallback !== null)
    .map(({ path, about, fallback }) => [
      `\`${path.join('.')}\``,
      fallback === null ? '' : `\`${fallback}\``,
      escaped(about),
    ])
  const all = [['value', 'unless given', ''], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(3, ...all.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  const [head = [], ...body] = all
  return [line(head), rule, ...body.map(line)].join('\n')
}

const escaped = (text: string): string => text.replaceAll('|', '\\|')

const longestLine = 120

const wrap = (text: string): string => {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length + 1 > longestLine) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}
