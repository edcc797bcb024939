import type { Log } from '@esteira/service'
import { expect, test } from 'vitest'
import { hideSecrets } from './hide-secrets.ts'

const pem = '-----BEGIN-----\nMIIEowIBAAKC\n-----END-----'

const values: Record<string, string> = { token: 's3cr"t/värde', long: 's3cr"t/värde and more', pin: '1234', key: pem }

const setup = async (...names: string[]) => {
  const hidden = hideSecrets(async (name) => values[name] ?? '')
  for (const name of names) await hidden.secrets(name)
  const lines: Record<string, unknown>[] = []
  const keep: Log['info'] = (fields) => void lines.push(fields)
  return { ...hidden, lines, log: hidden.inLog({ debug: keep, info: keep, warn: keep, error: keep }) }
}

test.each([
  ['as it is', 's3cr"t/värde'],
  ['within JSON', JSON.stringify('s3cr"t/värde').slice(1, -1)],
  ['within an address', encodeURIComponent('s3cr"t/värde')],
  ['in base64', Buffer.from('s3cr"t/värde').toString('base64')],
])('a secret is hidden %s, wherever it stands in a text', async (_, form) => {
  const { inText } = await setup('token')
  expect(inText(`<${form}> and ${form}`)).toBe('<[secret token]> and [secret token]')
})

test('a secret within another leaves nothing of the longer one, and neither does a line of a long one', async () => {
  const { inText } = await setup('token', 'long', 'key')
  expect(inText(`got ${values.long}`)).toBe('got [secret long]')
  expect(inText('line MIIEowIBAAKC')).toBe('line [secret key]')
})

test('what was not read is not hidden', async () => {
  const { inText } = await setup()
  expect(inText('s3cr"t/värde')).toBe('s3cr"t/värde')
})

test('lines of the log have no secret, however deep, nor errors in them', async () => {
  const { log, lines } = await setup('token', 'pin')
  const cause = Object.assign(new TypeError('bad s3cr"t/värde'), { detail: ['s3cr"t/värde'] })
  const error = new Error('call failed: s3cr"t/värde', { cause })
  const loop: Record<string, unknown> = { text: 's3cr"t/värde' }
  loop.self = loop
  log.error({ event: 'called', err: error, deep: [{ 's3cr"t/värde': 1234 }], at: new Date(0), loop, ok: true })
  const [line] = lines
  expect(line).toMatchObject({
    event: 'called',
    err: {
      message: 'call failed: [secret token]',
      cause: { message: 'bad [secret token]', detail: ['[secret token]'] },
    },
    deep: [{ '[secret token]': '[secret pin]' }],
    at: '1970-01-01T00:00:00.000Z',
    loop: { text: '[secret token]' },
    ok: true,
  })
  expect(line?.err).toBeInstanceOf(Error)
  expect(Object(line?.err).stack).not.toContain('s3cr')
  expect(error.message).toContain('s3cr')
})

test('a result is told from one that holds a secret, but not by a text that may be there by chance', async () => {
  const { heldBy } = await setup('token', 'pin')
  expect(heldBy({ list: [{ authorization: 'Bearer s3cr"t/värde' }] })).toBe('token')
  expect(heldBy({ year: '1234' })).toBeUndefined()
  expect(heldBy(undefined)).toBeUndefined()
  expect(() => heldBy(1n)).toThrow(expect.objectContaining({ code: 'output_rejected', final: true }))
})
