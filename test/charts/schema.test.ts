import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'

const charts = resolve(import.meta.dirname, '../../charts')

const read = (chart: string, file: string): string => readFileSync(join(charts, chart, file), 'utf8')

type Schema = {
  $ref?: string | undefined
  additionalProperties?: unknown
  properties?: Record<string, Schema> | undefined
}

const schema: z.ZodType<Schema> = z.lazy(() =>
  z.looseObject({
    $ref: z.string().optional(),
    additionalProperties: z.unknown().optional(),
    properties: z.record(z.string(), schema).optional(),
  }),
)

const document = z.looseObject({
  properties: z.record(z.string(), schema),
  definitions: z.record(z.string(), schema),
})

const map = z.record(z.string(), z.unknown())

/** What a schema and values do not have in common: places that only one of the two knows, and maps that take anything. */
const differences = (of: Schema, value: unknown, definitions: Record<string, Schema>, path = ''): string[] => {
  const { properties, additionalProperties } = resolved(of, definitions)
  if (properties === undefined) return []
  const values = map.parse(value)
  const found = additionalProperties === false ? [] : [`${path || 'the whole'} takes what it does not know`]
  // Settings of one's own that go before others: they are described where those are.
  if (path !== '' && Object.keys(values).length === 0) return found
  const names = new Set([...Object.keys(properties), ...Object.keys(values)])
  names.delete('global')
  for (const name of names) {
    const place = path === '' ? name : `${path}.${name}`
    const inner = properties[name]
    if (inner === undefined) found.push(`${place} is only in values.yaml`)
    else if (name in values) found.push(...differences(inner, values[name], definitions, place))
    else found.push(`${place} is only in the schema`)
  }
  return found
}

const resolved = (of: Schema, definitions: Record<string, Schema>): Schema =>
  of.$ref === undefined ? of : (definitions[of.$ref.replace('#/definitions/', '')] ?? expect.fail(of.$ref))

test.each(['esteira', 'outbox-relay'])('the schema of %s takes what values.yaml has, and nothing else', (chart) => {
  const { definitions, ...root } = document.parse(JSON.parse(read(chart, 'values.schema.json')))
  expect(differences(root, parse(read(chart, 'values.yaml')), definitions)).toEqual([])
})

const versions = z.object({
  version: z.string(),
  appVersion: z.string().optional(),
  dependencies: z.array(z.object({ name: z.string(), version: z.string() })).optional(),
})

test('the charts, their images and the programs in these have one version', () => {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('..', 'package.json')))
  expect(versions.parse(parse(read('esteira', 'Chart.yaml')))).toEqual({
    version,
    appVersion: version,
    dependencies: [{ name: 'outbox-relay', version }],
  })
  expect(versions.parse(parse(read('outbox-relay', 'Chart.yaml')))).toEqual({ version })
  expect(versions.parse(parse(read('examples/shop', 'Chart.yaml'))).dependencies).toEqual([
    { name: 'outbox-relay', version },
  ])
  const image = z.object({ image: z.object({ tag: z.string() }) })
  expect(image.parse(parse(read('outbox-relay', 'values.yaml'))).image.tag).toBe(version)
})
