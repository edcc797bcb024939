import { expect, test } from 'vitest'
import { sentOf } from './sent.ts'

test('a statement that many jobs ask for at a time is read once', async () => {
  const sent = await Promise.all(Array.from({ length: 20 }, () => sentOf('select $1::int as number')))
  expect(new Set(sent).size).toBe(1)
})

test('a statement that comes with many that are too deep to be read is read all the same', async () => {
  // So many use up the stack of one grammar; it is opened anew behind each of them.
  const deep = Array.from({ length: 40 }, (_, n) => sentOf(`select ${n}${'+1'.repeat(15_000)}`))
  const sent = sentOf('select :name::text as named')
  expect((await Promise.all(deep)).map(({ fault }) => fault)).not.toContain(null)
  expect(await sent).toMatchObject({ text: 'select $1::text as named', names: ['name'], fault: null })
}, 60_000)
