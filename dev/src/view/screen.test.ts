import { EventEmitter } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { plainScreen, terminalScreen } from './screen.ts'
import type { Snapshot } from './snapshot.ts'

const snapshot = (count: number): Snapshot => ({
  services: [{ name: 'postgres', state: 'up', where: '127.0.0.1:5432' }],
  runs: [{ id: 'r', trigger: 'cron', status: 'running', createdAt: '2026-01-01', waiting: 1, succeeded: 2, failed: 0 }],
  leads: { count, last: [] },
})

/** The picture of that snapshot: its lines, and a free one above each of its three parts. */
const pictureRows = 7

/** A terminal that keeps what is written to it, a write an entry. */
const createTerminal = (columns: number, rows: number) => {
  const writes: string[] = []
  return Object.assign(new EventEmitter(), { columns, rows, writes, write: (text: string) => writes.push(text) })
}

const plain = (text: string | undefined) => stripVTControlCharacters(text ?? '').split('\n')

test('a picture is drawn in one write, over the one before, and not at all when nothing changed', () => {
  const terminal = createTerminal(80, 24)
  const screen = terminalScreen(terminal)
  screen.show(snapshot(1))
  screen.show(snapshot(1))
  screen.show(snapshot(2))
  expect(terminal.writes).toHaveLength(2)
  expect(terminal.writes[1]).toContain(`\u001b[${pictureRows}F`)
  expect(plain(terminal.writes[1])).toContain('  leads in the table: 2')
})

test('a sentence comes above the picture', () => {
  const terminal = createTerminal(80, 24)
  const screen = terminalScreen(terminal)
  screen.show(snapshot(1))
  screen.say('postgres fell')
  const lines = plain(terminal.writes[1])
  expect(terminal.writes[1]).toContain(`\u001b[${pictureRows}F`)
  expect(lines.indexOf('postgres fell')).toBeLessThan(lines.indexOf('  leads in the table: 1'))
})

test('in a window that was made narrower, the rows that lines were wrapped into are drawn over, too', () => {
  const terminal = createTerminal(80, 24)
  terminalScreen(terminal).show(snapshot(1))
  terminal.columns = 40
  terminal.emit('resize')
  // The service's line, the heading and the run's are between 41 and 80 long.
  expect(terminal.writes[1]).toContain(`\u001b[${pictureRows + 3}F`)
  expect(Math.max(...plain(terminal.writes[1]).map((line) => line.length))).toBeLessThan(40)
})

test('once the picture is left, sentences come below it and nothing is drawn any more', () => {
  const terminal = createTerminal(80, 24)
  const screen = terminalScreen(terminal)
  screen.show(snapshot(1))
  screen.leave()
  screen.say('stopping')
  terminal.emit('resize')
  expect(terminal.writes.slice(1).map(plain)).toEqual([['\rstopping', '']])
})

test('a terminal that was not told its size gets a picture all the same', () => {
  const terminal = createTerminal(0, 0)
  terminalScreen(terminal).show(snapshot(1))
  expect(plain(terminal.writes[0])).toContain('  leads in the table: 1')
})

test('a pipe gets a line for what changed, and only then', () => {
  const writes: string[] = []
  const screen = plainScreen({ write: (text) => writes.push(text) })
  screen.show(snapshot(1))
  screen.show(snapshot(1))
  screen.show(snapshot(2))
  expect(writes).toEqual([
    'run r (cron): running, 2 jobs succeeded, 0 failed\n',
    'leads in the table: 1\n',
    'leads in the table: 2\n',
  ])
})
