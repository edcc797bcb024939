import { stripVTControlCharacters, styleText } from 'node:util'
import type { RunLine, ServiceLine, Snapshot } from './snapshot.ts'

/** The snapshot as lines for a terminal, none wider than `columns`. */
export const render = (snapshot: Snapshot, columns: number): string[] =>
  [
    '',
    ...snapshot.services.map(serviceLine),
    '',
    heading(
      `  ${'run'.padEnd(10)}${'from'.padEnd(8)}${'status'.padEnd(12)}${'waiting'.padStart(9)}${'succeeded'.padStart(11)}${'failed'.padStart(8)}`,
    ),
    ...(snapshot.runs.length === 0 ? ['  none yet'] : snapshot.runs.map(runLine)),
    '',
    heading(`  leads in the table: ${snapshot.leads.count.toLocaleString('en')}`),
    ...snapshot.leads.last.map(({ name, email }) => `  ${name.padEnd(28)} ${email}`),
    '',
  ].map((line) => cut(line, columns))

const heading = (text: string): string => styleText('bold', text)

const serviceLine = ({ name, state, where }: ServiceLine): string => {
  const color = state === 'up' ? 'green' : state === 'starting' ? 'yellow' : 'red'
  return `  ${name.padEnd(34)}${styleText(color, state.padEnd(10))}${where}`
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
