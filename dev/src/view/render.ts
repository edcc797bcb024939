import { stripVTControlCharacters, styleText } from 'node:util'
import type { RunLine, ServiceLine, Snapshot } from './snapshot.ts'

/** How much of a snapshot is shown. */
type Layout = { services: 'all' | 'not up'; runs: number; leads: number }

/** The first one that fits into the window is taken: what is up and stays up is what can be spared. */
const layouts: readonly Layout[] = [
  { services: 'all', runs: 6, leads: 5 },
  { services: 'all', runs: 3, leads: 3 },
  { services: 'not up', runs: 6, leads: 5 },
  { services: 'not up', runs: 3, leads: 3 },
  { services: 'not up', runs: 1, leads: 0 },
]

/** The snapshot as lines for a terminal, none wider than `columns` and not more than `rows`. */
export const render = (snapshot: Snapshot, { columns, rows }: { columns: number; rows: number }): string[] => {
  const pictures = layouts.map((layout) => picture(snapshot, layout))
  const fitting = pictures.find((lines) => lines.length <= rows) ?? pictures.at(-1)?.slice(0, rows) ?? []
  return fitting.map((line) => cut(line, columns))
}

const picture = ({ services, runs, leads }: Snapshot, layout: Layout): string[] => [
  '',
  ...(layout.services === 'all' ? services.map(serviceLine) : summaryOf(services)),
  '',
  heading(
    `  ${'run'.padEnd(10)}${'from'.padEnd(8)}${'status'.padEnd(12)}${'waiting'.padStart(9)}${'succeeded'.padStart(11)}${'failed'.padStart(8)}`,
  ),
  ...(runs.length === 0 ? ['  none yet'] : runs.slice(0, layout.runs).map(runLine)),
  '',
  heading(`  leads in the table: ${leads.count.toLocaleString('en')}`),
  ...leads.last.slice(0, layout.leads).map(({ name, email }) => `  ${name.padEnd(28)} ${email}`),
]

const summaryOf = (services: readonly ServiceLine[]): string[] => {
  const others = services.filter(({ state }) => state !== 'up')
  return [`  ${styleText('green', `${services.length - others.length} up`)}`, ...others.map(serviceLine)]
}

const heading = (text: string): string => styleText('bold', text)

const serviceLine = ({ name, state, where }: ServiceLine): string => {
  const color = state === 'up' ? 'green' : state === 'starting' ? 'yellow' : 'red'
  return `  ${name.padEnd(32)}${styleText(color, state.padEnd(10))}${where}`
}

const runLine = (run: RunLine): string => {
  const color = run.status === 'succeeded' ? 'green' : run.status === 'failed' ? 'red' : 'yellow'
  return [
    `  ${clock(run.createdAt).padEnd(10)}${run.trigger.padEnd(8)}${styleText(color, run.status.padEnd(12))}`,
    String(run.waiting).padStart(9),
    String(run.succeeded).padStart(11),
    String(run.failed).padStart(8),
  ].join('')
}

const clock = (time: string): string => new Date(time).toTimeString().slice(0, 8)

/** A line that is too long loses its colours too, since a cut in the middle of one would leave it open. */
const cut = (line: string, columns: number): string => {
  const plain = stripVTControlCharacters(line)
  return plain.length <= columns ? line : plain.slice(0, columns)
}
