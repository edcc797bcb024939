import { expect, test } from 'vitest'
import { z } from 'zod'
import { createRdStation } from './app.ts'
import { defaultCredentials, type RdStationOptions } from './stand-in.ts'

const { clientId: client_id, clientSecret: client_secret, refreshToken: refresh_token } = defaultCredentials
const credentials = { client_id, client_secret, refresh_token }
const contactsPath = '/platform/segmentations/1/contacts'

const contactsIn = async (response: Response) =>
  z.object({ contacts: z.array(z.record(z.string(), z.unknown())) }).parse(await response.json()).contacts

const tokenIn = async (response: Response) =>
  z.object({ access_token: z.string() }).parse(await response.json()).access_token

/** The stand-in on a clock that only moves when it is told to. */
const setup = (options: RdStationOptions = {}) => {
  const clock = { now: Date.UTC(2026, 0, 1) }
  const app = createRdStation({ now: () => clock.now, ...options })
  const askToken = (body: unknown) =>
    app.request('/auth/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const token = async () => tokenIn(await askToken(credentials))
  const get = async (path: string, accessToken?: string) =>
    app.request(path, { headers: { authorization: `Bearer ${accessToken ?? (await token())}` } })
  const control = (change: unknown) =>
    app.request('/_control', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(change),
    })
  const pass = (ms: number) => {
    clock.now += ms
  }
  return { app, askToken, token, get, control, pass }
}

test('a page has 25 contacts unless asked otherwise, and its headers say where it is', async () => {
  const { get } = setup({ leads: 60 })
  const response = await get(`${contactsPath}?page=3`)
  expect(response.status).toBe(200)
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'pagination-total-rows': '60',
    'pagination-page-size': '25',
    'pagination-page': '3',
  })
  const contacts = await contactsIn(response)
  expect(contacts).toHaveLength(10)
  expect(Object.keys(contacts[0] ?? {})).toEqual([
    'uuid',
    'name',
    'email',
    'last_conversion_date',
    'created_at',
    'links',
  ])
})

test('125 contacts a page are the most, 126 are refused', async () => {
  const { get } = setup()
  expect(await contactsIn(await get(`${contactsPath}?page_size=125`))).toHaveLength(125)
  const response = await get(`${contactsPath}?page_size=126`)
  expect(response.status).toBe(422)
  expect(await response.json()).toEqual({
    errors: {
      page_size: [
        { error_type: 'MUST_BE_LESS_THAN_OR_EQUAL', error_message: 'page_size must less than or equal to 125' },
      ],
    },
  })
})

test.each(['page=0', 'page=-1', 'page=two', 'page_size=0', 'page_size=1.5', 'page_size='])(
  '%s is no page',
  async (query) => {
    const { get } = setup()
    const response = await get(`${contactsPath}?${query}`)
    expect(response.status).toBe(422)
    const [field = ''] = query.split('=')
    expect(await response.json()).toMatchObject({ errors: { [field]: [{ error_type: 'INVALID' }] } })
  },
)

test('a segmentation that does not exist is not found, nor is a path of nobody', async () => {
  const { get } = setup({ segmentationIds: [1, 8] })
  expect((await get('/platform/segmentations/8/contacts')).status).toBe(200)
  for (const path of ['/platform/segmentations/2/contacts', '/platform/segmentations/x/contacts', '/elsewhere']) {
    const response = await get(path)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ errors: { error_type: 'RESOURCE_NOT_FOUND' } })
  }
})

test('without a token, or with one that was never issued, nobody gets in', async () => {
  const { app, get } = setup()
  const missing = await app.request(contactsPath)
  expect(missing.status).toBe(401)
  expect(await missing.json()).toEqual({ error: 'invalid_request', error_description: 'The access token is missing' })
  const unknown = await get(contactsPath, 'made-up')
  expect(unknown.status).toBe(401)
  expect(await unknown.json()).toMatchObject({
    errors: { error_type: 'UNAUTHORIZED', error_message: 'Invalid token.' },
  })
})

test('an access token is good for a day', async () => {
  const { askToken, get, pass } = setup()
  const response = await askToken(credentials)
  expect(await response.clone().json()).toMatchObject({ expires_in: 86_400, refresh_token })
  const accessToken = await tokenIn(response)
  pass(86_399_999)
  expect((await get(contactsPath, accessToken)).status).toBe(200)
  pass(1)
  const expired = await get(contactsPath, accessToken)
  expect(expired.status).toBe(401)
  expect(expired.headers.get('www-authenticate')).toContain('error="expired_token"')
})

test('tokens can be given another life, and can all be made to run out', async () => {
  const { app, control, token, get, pass } = setup()
  await control({ tokenTtlSeconds: 2 })
  const short = await token()
  pass(2_000)
  expect((await get(contactsPath, short)).status).toBe(401)
  const next = await token()
  expect((await get(contactsPath, next)).status).toBe(200)
  expect((await app.request('/_control/expire-tokens', { method: 'POST' })).status).toBe(204)
  expect((await get(contactsPath, next)).status).toBe(401)
  expect((await get(contactsPath)).status).toBe(200)
})

test('a form gets a token as JSON does', async () => {
  const { app, get } = setup()
  const response = await app.request('/auth/token', { method: 'POST', body: new URLSearchParams(credentials) })
  expect(response.status).toBe(200)
  expect((await get(contactsPath, await tokenIn(response))).status).toBe(200)
})

test('wrong credentials and a wrong refresh token are told apart', async () => {
  const { askToken } = setup()
  for (const wrong of [{ client_id: 'x' }, { client_secret: 'x' }]) {
    const response = await askToken({ ...credentials, ...wrong })
    expect(response.status).toBe(401)
    expect(await response.json()).toEqual({
      errors: { error_type: 'ACCESS_DENIED', error_message: 'Wrong credentials provided.' },
    })
  }
  const response = await askToken({ ...credentials, refresh_token: 'x' })
  expect(response.status).toBe(401)
  expect(await response.json()).toMatchObject({ errors: { error_type: 'INVALID_REFRESH_TOKEN' } })
})

test('a token request without a field, with broken JSON or of another type is refused', async () => {
  const { app, askToken } = setup()
  const missing = await askToken({ client_id, client_secret })
  expect(missing.status).toBe(400)
  expect(await missing.json()).toMatchObject({ errors: { refresh_token: [{ error_type: 'CANNOT_BE_NULL' }] } })
  for (const broken of ['{"client_id":', '[]', '7']) expect((await askToken(broken)).status).toBe(400)
  expect((await app.request('/auth/token', { method: 'POST', body: 'text' })).status).toBe(415)
})

test('the 121st request of a minute is refused until the minute is over', async () => {
  const { token, get, pass } = setup()
  const accessToken = await token()
  for (let request = 0; request < 120; request += 1) {
    expect((await get(contactsPath, accessToken)).status).toBe(200)
    pass(100)
  }
  const refused = await get(contactsPath, accessToken)
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('48')
  expect(await refused.json()).toEqual({
    errors: { error_type: 'RATE_LIMIT_EXCEDDED', error_message: 'API usage limit exceeded' },
  })
  pass(48_000)
  expect((await get(contactsPath, accessToken)).status).toBe(200)
})

test('tokens, and requests without one, do not count against the rate limit', async () => {
  const { app, get } = setup({ rateLimitPerMinute: 1 })
  await app.request(contactsPath)
  await app.request(contactsPath)
  expect((await get(contactsPath)).status).toBe(200)
  expect((await get(contactsPath)).status).toBe(429)
})

test('the rate limit can be moved and switched off', async () => {
  const { control, get } = setup({ rateLimitPerMinute: 1 })
  await get(contactsPath)
  expect((await get(contactsPath)).status).toBe(429)
  await control({ rateLimitPerMinute: 3 })
  expect((await get(contactsPath)).status).toBe(200)
  await control({ rateLimitPerMinute: null })
  for (let request = 0; request < 10; request += 1) expect((await get(contactsPath)).status).toBe(200)
})

test('it holds as many leads as it is told, and those that stay are the same', async () => {
  const { control, get } = setup({ leads: 1 })
  const [first] = await contactsIn(await get(contactsPath))
  await control({ leads: 2_000_000 })
  const response = await get(contactsPath)
  expect(response.headers.get('pagination-total-rows')).toBe('2000000')
  expect((await contactsIn(response))[0]).toEqual(first)
  await control({ leads: 0 })
  expect(await contactsIn(await get(contactsPath))).toEqual([])
})

test('prepared faults come in order, each as often as it says, and then the API answers again', async () => {
  const { control, get, token } = setup()
  const accessToken = await token()
  await control({
    failNext: [
      { status: 503, times: 2 },
      { status: 429, retryAfter: 7 },
      { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' },
      { status: 302, headers: { location: 'http://example.com/' }, body: { moved: true } },
    ],
  })
  expect((await get(contactsPath, accessToken)).status).toBe(503)
  expect((await get(contactsPath, accessToken)).status).toBe(503)
  expect((await get(contactsPath, accessToken)).headers.get('retry-after')).toBe('7')
  const html = await get(contactsPath, accessToken)
  expect([html.headers.get('content-type'), await html.text()]).toEqual(['text/html', '<html>'])
  const moved = await get(contactsPath, accessToken)
  expect([moved.headers.get('location'), await moved.json()]).toEqual(['http://example.com/', { moved: true }])
  expect((await get(contactsPath, accessToken)).status).toBe(200)
})

test('a fault for tokens leaves the contacts alone', async () => {
  const { control, askToken, get, token } = setup()
  const accessToken = await token()
  await control({ failNext: [{ status: 500, on: 'token' }] })
  expect((await get(contactsPath, accessToken)).status).toBe(200)
  expect((await askToken(credentials)).status).toBe(500)
  expect((await askToken(credentials)).status).toBe(200)
})

test('it can be slow', async () => {
  const { control, askToken } = setup()
  await control({ latencyMs: 60 })
  const began = performance.now()
  expect((await askToken(credentials)).status).toBe(200)
  expect(performance.now() - began).toBeGreaterThanOrEqual(59)
})

test('the state tells the settings and how requests ended, by path', async () => {
  const { app, control, get } = setup({ leads: 5, rateLimitPerMinute: 2 })
  for (let request = 0; request < 3; request += 1) await get(`${contactsPath}?page=1`)
  await control({ failNext: [{ status: 500, times: 3 }] })
  await get(contactsPath)
  expect(await (await app.request('/_control')).json()).toEqual({
    leads: 5,
    latencyMs: 0,
    rateLimitPerMinute: 2,
    tokenTtlSeconds: 86_400,
    shuffle: null,
    totalsAdd: 0,
    failNext: [{ status: 500, times: 2, on: 'contacts', headers: {}, encoding: 'utf8' }],
    inFlight: 0,
    requests: { '/auth/token': { 200: 4 }, [contactsPath]: { 200: 2, 429: 1, 500: 1 } },
  })
})

test('contacts move between pages when they are told to, so often, and none is lost', async () => {
  const read = async ({ get }: ReturnType<typeof setup>) => {
    const pages = [1, 2, 3].map(async (page) => contactsIn(await get(`${contactsPath}?page=${page}`)))
    return (await Promise.all(pages)).flat().map(({ uuid }) => uuid)
  }
  const moving = setup({ leads: 60, shuffle: { everyPages: 1, places: 30, times: 2 } })
  await read(moving)
  const [second, third, unmoved] = [await read(moving), await read(moving), await read(setup({ leads: 60 }))]
  expect(third).toEqual(second)
  expect(second).not.toEqual(unmoved)
  expect(new Set(second)).toEqual(new Set(unmoved))
})

test('the total can be told wrong', async () => {
  const { get } = setup({ leads: 5, totalsAdd: -2 })
  const page = await get(contactsPath)
  expect(page.headers.get('pagination-total-rows')).toBe('3')
  expect(await contactsIn(page)).toHaveLength(5)
})

test('a change that is not understood is refused whole, with the nearest name', async () => {
  const { app, control } = setup({ leads: 5 })
  const misspelt = await control({ leads: 9, latency: 3 })
  expect(misspelt.status).toBe(422)
  expect(await misspelt.json()).toEqual({
    errors: [{ path: '', message: 'unknown option latency, did you mean "latencyMs"?' }],
  })
  const inFault = await control({ failNext: [{ status: 500, time: 2 }] })
  expect(await inFault.json()).toEqual({
    errors: [{ path: 'failNext.0', message: 'unknown option time, did you mean "times"?' }],
  })
  expect((await control({ leads: -1 })).status).toBe(422)
  expect((await app.request('/_control', { method: 'PUT', body: '{' })).status).toBe(422)
  expect(await (await app.request('/_control')).json()).toMatchObject({ leads: 5, latencyMs: 0 })
})
