import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { render } from './render.ts'
import type { Snapshot } from './snapshot.ts'

const snapshot: Snapshot = {
  services: [
    { name: 'postgres', state: 'up', where: '127.0.0.1:5432' },
    { name: 'relay of control-plane', state: 'down', where: '' },
  ],
  runs: [
    {
      id: 'r',
      trigger: 'cron',
      status: 'running',
      createdAt: '2026-01-01T12:00:00Z',
      waiting: 7,
      succeeded: 45,
      failed: 1,
    },
  ],
  leads: { count: 12345, last: [{ name: 'Ana Souza', email: 'ana@example.com' }] },
}
const text = ({ columns = 120, rows = 40 }) =>
  render(snapshot, { columns, rows }).map((line) => stripVTControlCharacters(line))

test('services, runs with their counts, and leads are shown', () => {
  const lines = text({})
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}postgres +up +127\.0\.0\.1:5432$/))
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}relay of control-plane +down/))
  expect(lines).toContainEqual(expect.stringMatching(/cron +running +7 +45 +1$/))
  expect(lines).toContain('  leads in the table: 12,345')
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}Ana Souza +ana@example\.com$/))
})

test('no line is wider than the terminal', () => {
  expect(Math.max(...text({ columns: 30 }).map((line) => line.length))).toBe(30)
})

test('in a low window, what is up is summed up before runs and leads are left out', () => {
  const many = Array.from({ length: 8 }, (_, i) => ({ name: `relay of ${i}`, state: 'up' as const, where: '' }))
  const lines = render({ ...snapshot, services: [...many, ...snapshot.services] }, { columns: 120, rows: 12 })
  const plain = lines.map((line) => stripVTControlCharacters(line))
  expect(plain.length).toBeLessThanOrEqual(12)
  expect(plain).toContain('  9 up')
  expect(plain).toContainEqual(expect.stringMatching(/^ {2}relay of control-plane +down/))
  expect(plain).toContainEqual(expect.stringMatching(/cron +running/))
  expect(plain).toContainEqual(expect.stringMatching(/^ {2}Ana Souza/))
})

test.each([1, 2, 5, 9])('a picture is never higher than a window of %i rows', (rows) => {
  expect(text({ rows })).toHaveLength(rows)
})
