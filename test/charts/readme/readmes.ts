import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describeValues } from './describe-values.ts'
import { readValues } from './read-values.ts'

const charts = resolve(import.meta.dirname, '../../../charts')

/** The charts whose READMEs list their values. */
export const chartsWithReadme = ['esteira', 'outbox-relay'] as const

const begin = '<!-- values: written by `npm run readmes` from values.yaml -->'
const end = '<!-- end of values -->'

export const readmeOf = (chart: string): string => join(charts, chart, 'README.md')

/** What a chart's README is with its values as they are. */
export const renewed = (chart: string): string => {
  const readme = readFileSync(readmeOf(chart), 'utf8')
  const values = readValues(readFileSync(join(charts, chart, 'values.yaml'), 'utf8'))
  const [head, rest] = readme.split(begin)
  const tail = rest?.split(end)[1]
  if (head === undefined || tail === undefined) throw new Error(`${readmeOf(chart)} has no place for its values`)
  return `${head}${begin}\n\n${describeValues(values)}\n\n${end}${tail}`
}
