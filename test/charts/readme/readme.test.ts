import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describeValues } from './describe-values.ts'
import { readValues } from './read-values.ts'
import { chartsWithReadme, readmeOf, renewed } from './readmes.ts'

test.each(chartsWithReadme)('the README of %s says what its values.yaml says; `npm run readmes` writes it', (chart) => {
  expect(readFileSync(readmeOf(chart), 'utf8')).toBe(renewed(chart))
})

test('what stands right above a value is said of it, and nothing else', () => {
  const text = `
# Of the whole file.

# Two
# lines.
name: ''
level: info

# A group.
group:
  # Its first.
  first:
    inner: []
  second: null
`
  expect(readValues(text)).toEqual([
    { path: ['name'], about: 'Two lines.', fallback: '""' },
    { path: ['level'], about: '', fallback: '"info"' },
    { path: ['group'], about: 'A group.', fallback: null },
    { path: ['group', 'first'], about: 'Its first.', fallback: null },
    { path: ['group', 'first', 'inner'], about: '', fallback: '[]' },
    { path: ['group', 'second'], about: '', fallback: 'null' },
  ])
})

test('values are a table a group, those of no group before them', () => {
  const values = readValues("name: ''\n\n# A group.\ngroup:\n  # `a | b`\n  size: 3\n")
  expect(describeValues(values)).toBe(
    [
      '| value  | unless given |     |',
      '| ------ | ------------ | --- |',
      '| `name` | `""`         |     |',
      '',
      '### group',
      '',
      'A group.',
      '',
      '| value        | unless given |          |',
      '| ------------ | ------------ | -------- |',
      '| `group.size` | `3`          | `a \\| b` |',
    ].join('\n'),
  )
})
