import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { startRdStation, type RdStationOptions, type SettingsChange } from '@esteira/dev/rd-station'
import { expect, onTestFinished, test } from 'vitest'
import { createRdStationClient, type RdStationClientOptions } from './client.ts'
import { RdStationError } from './errors.ts'

type Fault = NonNullable<SettingsChange['failNext']>[number]

const page = 'GET /platform/segmentations/1/contacts?page=1&page_size=10'
const secrets = { clientId: 'the-client-id', clientSecret: 'the-client-secret', refreshToken: 'the-refresh-token' }

const setup = async (standIn: RdStationOptions = {}, options: Partial<RdStationClientOptions> = {}) => {
  const rdStation = await startRdStation({ leads: 18, credentials: secrets, ...standIn })
  onTestFinished(rdStation.stop)
  const client = createRdStationClient({ baseUrl: rdStation.url, ...secrets, ...options })
  onTestFinished(client.close)
  type Query = { segmentationId?: number; pageSize?: number; signal?: AbortSignal; waitsOut?: boolean }
  const read = async (query: Query = {}) => {
    const signal = new AbortController().signal
    const written = async () => Number.MAX_SAFE_INTEGER
    return (
      await Array.fromAsync(client.contacts({ segmentationId: 1, pageSize: 10, written, signal, ...query }))
    ).flatMap(({ contacts }) => contacts)
  }
  return { client, rdStation, read }
}

/** What a read fails with. It must say nothing that only the client and the API may know. */
const failure = async (read: Promise<unknown>): Promise<RdStationError> => {
  const error: unknown = await read.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof RdStationError))
    throw new Error('the read did not fail with an RdStationError', { cause: error })
  const everything = inspect(error, { depth: Infinity, showHidden: true })
  for (const secret of [secrets.clientSecret, secrets.refreshToken, 'Bearer', 'issued-token', 'ana@example.com']) {
    expect(everything).not.toContain(secret)
  }
  return error
}

const cutGzip = gzipSync('{"contacts":[{"email":"ana@example.com"}]}').subarray(0, 20).toString('latin1')

test.each<[string, Fault, Partial<RdStationError>]>([
  [
    'a 500',
    { status: 500 },
    { code: 'unavailable', final: false, message: `${page}: answered 500 SERVICE_UNAVAILABLE` },
  ],
  ['a 503 with a wait', { status: 503, retryAfter: 9 }, { code: 'unavailable', final: false, retryAfterMs: 9_000 }],
  ['a 408', { status: 408 }, { code: 'unavailable', final: false }],
  ['a reset', { status: 'reset' }, { code: 'unreachable', final: false }],
  ['a 403', { status: 403, body: {} }, { code: 'forbidden', final: true, message: `${page}: answered 403` }],
  ['a 410', { status: 410, body: '' }, { code: 'rejected', final: true, status: 410 }],
  ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, { code: 'redirected', final: true }],
  [
    'HTML with a 200',
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>ana@example.com</html>' },
    { code: 'not_json', final: false, message: `${page}: answered 200 with 28 characters of text/html, not JSON` },
  ],
  [
    'HTML that says more of itself',
    { status: 200, headers: { 'content-type': 'text/html; user=ana@example.com' }, body: '<html></html>' },
    { code: 'not_json', message: `${page}: answered 200 with 13 characters of text/html, not JSON` },
  ],
  [
    'what says it is nothing known',
    { status: 200, headers: { 'content-type': 'ana@example.com' }, body: '<html></html>' },
    { code: 'not_json', message: `${page}: answered 200 with 13 characters of no media type, not JSON` },
  ],
  ['broken JSON', { status: 200, body: '{"contacts":[{"email":"ana@example.com"' }, { code: 'not_json', final: false }],
  [
    'another charset than it says',
    { status: 200, body: 'Conceição ana@example.com', encoding: 'latin1' },
    { code: 'not_json', final: false, message: `${page}: answered 200 with 25 bytes that are not utf-8` },
  ],
  [
    'gzip, which was not asked for, and cut short at that',
    { status: 200, headers: { 'content-encoding': 'gzip' }, body: cutGzip, encoding: 'latin1' },
    { code: 'not_json', final: false, message: `${page}: answered 200 with 20 bytes in gzip, which was not asked for` },
  ],
  ['no body', { status: 204 }, { code: 'not_json', final: false }],
  [
    'a page of another shape',
    { status: 200, body: { contacts: [{ uuid: 7, email: 'ana@example.com', created_at: '', links: [] }] } },
    {
      code: 'unexpected_shape',
      final: true,
      message: `${page}: answer.contacts.0.uuid: must be a string, a number came`,
    },
  ],
  [
    'a contact with an empty uuid',
    { status: 200, body: { contacts: [{ uuid: '', email: 'ana@example.com' }] } },
    {
      code: 'unexpected_shape',
      final: true,
      message: `${page}: answer.contacts.0.uuid: must not be empty`,
    },
  ],
  ['a list instead of a page', { status: 200, body: [] }, { code: 'unexpected_shape', final: true }],
  [
    'a total that is no number',
    { status: 200, headers: { 'pagination-total-rows': 'many' }, body: { contacts: [] } },
    {
      code: 'unexpected_shape',
      final: true,
      message: `${page}: answer.pagination-total-rows: must match /^\\d{1,15}$/`,
    },
  ],
])('%s fails the read with a clear error, and the next read works', async (_, fault, expected) => {
  const { rdStation, read } = await setup()
  rdStation.control.set({ failNext: [fault] })
  const error = await failure(read())
  expect(error).toMatchObject(expected)
  expect(error.call).toBe(page)
  expect(await read()).toHaveLength(18)
})

test('names come whole in the charset that the answer names, and never with a mark in the place of a letter', async () => {
  const { rdStation, read } = await setup()
  const contact = { uuid: 'a', name: 'Conceição', email: null, last_conversion_date: null, created_at: '', links: [] }
  const latin: Fault = { status: 200, body: { contacts: [contact] }, encoding: 'latin1' }
  const type = 'application/json; charset=iso-8859-1'
  rdStation.control.set({ failNext: [{ ...latin, headers: { 'content-type': type, 'pagination-total-rows': '1' } }] })
  expect(await read()).toMatchObject([{ name: 'Conceição' }])
  rdStation.control.set({ failNext: [{ ...latin, headers: { 'pagination-total-rows': '1' } }] })
  expect(await failure(read())).toMatchObject({ code: 'not_json' })
})

test('a segmentation that does not exist, and a page that is too large, will never work', async () => {
  const { read } = await setup()
  expect(await failure(read({ segmentationId: 99 }))).toMatchObject({
    code: 'not_found',
    final: true,
    message: 'GET /platform/segmentations/99/contacts?page=1&page_size=10: answered 404 RESOURCE_NOT_FOUND',
  })
  expect(await failure(read({ pageSize: 126 }))).toMatchObject({
    code: 'rejected',
    final: true,
    status: 422,
    message: 'GET /platform/segmentations/1/contacts?page=1&page_size=126: answered 422 MUST_BE_LESS_THAN_OR_EQUAL',
  })
})

const contactsPath = '/platform/segmentations/1/contacts'

const refusedFresh = {
  code: 'unauthorized',
  final: true,
  status: 401,
  message: `${page}: answered 401 UNAUTHORIZED: a token that was issued for the account "acme" a moment ago is refused`,
}

test('a 401 with a fresh token is final, and says so with the account: the token is renewed once and not again', async () => {
  const { rdStation, read } = await setup({}, { account: 'acme' })
  rdStation.control.set({ failNext: [{ status: 401, times: 9 }] })
  expect(await failure(read())).toMatchObject(refusedFresh)
  expect(rdStation.control.state().requests).toEqual({ '/auth/token': { 200: 2 }, [contactsPath]: { 401: 2 } })
})

test('an account that is refused whatever it shows costs further reads a call each, and a token a minute', async () => {
  const clock = { now: Date.UTC(2026, 0, 1) }
  const now = () => clock.now
  const { rdStation, read } = await setup({ now }, { account: 'acme', now })
  rdStation.control.set({ failNext: [{ status: 401, times: 99 }] })
  const requests = () => rdStation.control.state().requests
  for (let n = 0; n < 3; n += 1) expect(await failure(read())).toMatchObject(refusedFresh)
  expect(requests()).toEqual({ '/auth/token': { 200: 2 }, [contactsPath]: { 401: 4 } })
  clock.now += 60_000
  for (let n = 0; n < 2; n += 1) expect(await failure(read())).toMatchObject(refusedFresh)
  expect(requests()).toEqual({ '/auth/token': { 200: 3 }, [contactsPath]: { 401: 7 } })
})

test('a token that was renewed a moment ago, and has opened a call, is renewed once more when it is revoked', async () => {
  const { rdStation, read } = await setup()
  for (let n = 0; n < 3; n += 1) {
    expect(await read()).toHaveLength(18)
    rdStation.control.expireTokens()
  }
  expect(rdStation.control.state().requests).toEqual({ '/auth/token': { 200: 3 }, [contactsPath]: { 200: 6, 401: 2 } })
})

test('wrong credentials are final, and named by the account and the API', async () => {
  const { rdStation, read } = await setup({}, { clientSecret: 'the-client-secret-of-yesterday' })
  expect(await failure(read())).toMatchObject({
    code: 'unauthorized',
    final: true,
    message:
      'POST /auth/token: answered 401 ACCESS_DENIED: no token is given for the credentials of the account "default"',
  })
  expect(rdStation.control.state().requests).toEqual({ '/auth/token': { 401: 1 } })
})

const revoked =
  'the refresh token of the account "acme" was revoked or replaced; the account has to be authorized again, and the ' +
  'worker given the new token'

test('a refresh token that was revoked is final, and says so with the account, after one call', async () => {
  const { rdStation, read } = await setup({}, { account: 'acme', refreshToken: 'the-refresh-token-of-yesterday' })
  expect(await failure(read())).toMatchObject({
    code: 'refresh_token_refused',
    final: true,
    message: `POST /auth/token: answered 401 INVALID_REFRESH_TOKEN: ${revoked}`,
  })
  expect(rdStation.control.state().requests).toEqual({ '/auth/token': { 401: 1 } })
})

test('an account that is let in nowhere is named, whatever it was refused for', async () => {
  const { rdStation, read } = await setup({}, { account: 'acme' })
  rdStation.control.set({ failNext: [{ on: 'token', status: 403, body: {} }] })
  expect(await failure(read())).toMatchObject({
    code: 'forbidden',
    final: true,
    message: 'POST /auth/token: answered 403: no token is given for the credentials of the account "acme"',
  })
})

test('so is one that OAuth would call an invalid grant, when a token is renewed in the middle of a read', async () => {
  const { rdStation, read } = await setup({}, { account: 'acme' })
  await read()
  rdStation.control.expireTokens()
  rdStation.control.set({ failNext: [{ on: 'token', status: 400, body: { error: 'invalid_grant' } }] })
  expect(await failure(read())).toMatchObject({
    code: 'refresh_token_refused',
    final: true,
    message: `POST /auth/token: answered 400 invalid_grant: ${revoked}`,
  })
  expect(rdStation.control.state().requests['/auth/token']).toEqual({ 200: 1, 400: 1 })
})

test.each<[string, Fault, string]>([
  ['is not JSON', { status: 200, body: '{"access_token":"issued-token" "expires_in":1}' }, 'not_json'],
  ['has no life', { status: 200, body: { access_token: 'issued-token', expires_in: 0 } }, 'unexpected_shape'],
  ['has no token', { status: 200, body: { refresh_token: 'the-refresh-token' } }, 'unexpected_shape'],
  [
    'repeats what was sent',
    { status: 400, body: { error: 'the-refresh-token', error_type: 'issued-token' } },
    'rejected',
  ],
])('an answer for a token that %s fails the read without telling it', async (_, fault, code) => {
  const { rdStation, read } = await setup()
  rdStation.control.set({ failNext: [{ ...fault, on: 'token' }] })
  expect(await failure(read())).toMatchObject({ code, call: 'POST /auth/token' })
  expect(await read()).toHaveLength(18)
})

test.each(['issued-token\n', ' issued-token', 'issued-token €', ''])(
  'a token that no header can hold, %j, is a final fault of the answer that brought it, and no call is made with it',
  async (token) => {
    const { rdStation, read } = await setup()
    rdStation.control.set({
      failNext: [{ on: 'token', status: 200, body: { access_token: token, expires_in: 3_600 } }],
    })
    expect(await failure(read())).toMatchObject({
      code: 'unexpected_shape',
      final: true,
      message: 'POST /auth/token: answer.access_token: must be visible ASCII, which a header can hold',
    })
    expect(rdStation.control.state().requests).toEqual({ '/auth/token': { 200: 1 } })
    expect(await read()).toHaveLength(18)
  },
)

test('a token endpoint that is down fails all who wait for it, and the next read asks again', async () => {
  const { rdStation, read } = await setup()
  rdStation.control.set({ failNext: [{ status: 503, on: 'token' }] })
  const errors = await Promise.all([read(), read(), read()].map(failure))
  expect(errors.map(({ code }) => code)).toEqual(['unavailable', 'unavailable', 'unavailable'])
  expect(await read()).toHaveLength(18)
  expect(rdStation.control.state().requests['/auth/token']).toEqual({ 503: 1, 200: 1 })
})

test('a page that is larger than allowed is given up', async () => {
  const { read } = await setup({}, { maxResponseBytes: 1_000 })
  expect(await failure(read())).toMatchObject({ code: 'too_large', final: true })
})

test('a slow API meets the deadline of each call', async () => {
  const { rdStation, read } = await setup({}, { deadlineMs: 200 })
  await read()
  rdStation.control.set({ latencyMs: 60_000 })
  expect(await failure(read())).toMatchObject({
    code: 'timeout',
    final: false,
    message: `${page}: no whole answer within 200 ms`,
  })
})

test('an API that is not there is unreachable', async () => {
  const { rdStation, read } = await setup()
  await rdStation.stop()
  const error = await failure(read())
  expect(error).toMatchObject({ code: 'unreachable', final: false, cause: { code: 'ECONNREFUSED' } })
  expect(error.message).toContain('POST /auth/token: connect ECONNREFUSED 127.0.0.1:')
})

test('an abort ends a call under way with its reason', async () => {
  const { rdStation, read } = await setup()
  await read()
  rdStation.control.set({ latencyMs: 60_000 })
  const cancel = new AbortController()
  const reason = new Error('the run was cancelled')
  const reading = read({ signal: cancel.signal })
  await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
  cancel.abort(reason)
  await expect(reading).rejects.toBe(reason)
  await expect.poll(() => rdStation.control.state().inFlight).toBe(0)
})

test('an abort ends a wait for the rate limit with its reason', async () => {
  const { rdStation, read } = await setup()
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 300 }] })
  const cancel = new AbortController()
  const reason = new Error('the run was cancelled')
  const reading = read({ signal: cancel.signal, waitsOut: true })
  await expect.poll(() => rdStation.control.state().requests['/platform/segmentations/1/contacts']).toEqual({ 429: 1 })
  cancel.abort(reason)
  await expect(reading).rejects.toBe(reason)
})

test.each(['before the first token', 'with a token in hand'])(
  'closing the client %s ends what is under way, and what comes after, as closed',
  async (when) => {
    const { client, rdStation, read } = await setup()
    if (when === 'with a token in hand') await read()
    rdStation.control.set({ latencyMs: 60_000 })
    const reading = failure(read())
    await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
    await client.close()
    expect(await reading).toMatchObject({ code: 'closed', final: false })
    expect(await failure(read())).toMatchObject({ code: 'closed' })
  },
)
