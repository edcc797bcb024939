import { openOrm } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { type ApiEvent, createApp } from './app.ts'
import { maxBodyBytes } from './json-body.ts'

/** The API on a database that nobody can reach: port 1 refuses at once. */
const setup = () => {
  const events: ApiEvent[] = []
  const app = createApp({
    orm: openOrm({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1, applicationName: 'test' }),
    lane: 1,
    worker: 'test',
    maxPayloadBytes: 1024,
    adminToken: 'secret',
    onSaved: () => {},
    cron: 'off',
    metrics: () => 'jobs 7\n',
    observe: (event) => events.push(event),
  })
  const send = async (
    method: string,
    path: string,
    init: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
  ) => app.request(path, { method, ...init, headers: { authorization: 'Bearer secret', ...init.headers } })
  const post = (
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ) => send('POST', '/v1/workflows', { body, headers })
  return { app, events, send, post }
}

const codeOf = async (response: Response) => {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const problem: unknown = await response.json()
  expect(problem).toMatchObject({ type: expect.stringMatching(/^urn:esteira:problem:/), status: response.status })
  return problem
}

test.each([undefined, 'secret', 'Basic secret', 'Bearer', 'Bearer wrong', 'Bearer secret2', 'Bearer secre'])(
  'with the authorization %s nobody gets in',
  async (authorization) => {
    const { app } = setup()
    const headers = authorization === undefined ? {} : { authorization }
    for (const path of ['/v1/workflows', '/v1/elsewhere']) {
      const response = await app.request(path, { headers })
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="esteira"')
      expect(await codeOf(response)).toMatchObject({ code: 'unauthorized' })
    }
  },
)

test('an address of nothing is a problem too', async () => {
  const { app, send } = setup()
  expect(await codeOf(await send('GET', '/v1/elsewhere'))).toMatchObject({ status: 404, code: 'route_unknown' })
  expect(await codeOf(await app.request('/elsewhere'))).toMatchObject({ status: 404, code: 'route_unknown' })
})

test('a method that an address does not take is refused with those that it takes', async () => {
  const response = await setup().send('PATCH', '/v1/workflows')
  expect(response.headers.get('allow')).toBe('GET, HEAD, POST')
  expect(await codeOf(response)).toMatchObject({ status: 405, code: 'method_not_allowed' })
})

test('an id that can be none is the id of nothing', async () => {
  const { send } = setup()
  expect(await codeOf(await send('GET', '/v1/workflows/7'))).toMatchObject({ status: 404, code: 'workflow_unknown' })
  expect(await codeOf(await send('GET', '/v1/runs/7'))).toMatchObject({ status: 404, code: 'run_unknown' })
  expect(await codeOf(await send('GET', '/v1/jobs/7'))).toMatchObject({ status: 404, code: 'job_unknown' })
})

test.each(['{"name":', 'name', '"\xff"', ''])('the body %j is no JSON', async (body) => {
  const { post } = setup()
  const bytes = Buffer.from(body, 'latin1')
  expect(await codeOf(await post(bytes))).toMatchObject({ status: 400, code: 'json_invalid' })
})

test('where a body is needed, none at all is refused too', async () => {
  const answer = await setup().send('POST', '/v1/workflows')
  expect(await codeOf(answer)).toMatchObject({ status: 400, code: 'json_invalid', detail: 'Send a JSON body.' })
})

test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx'])(
  'a body of the type %s is refused',
  async (type) => {
    const response = await setup().post('{}', { 'content-type': type })
    expect(await codeOf(response)).toMatchObject({ status: 415, code: 'content_type_unsupported' })
  },
)

test('a body that is too large is refused, whether or not it says so beforehand', async () => {
  const { post } = setup()
  const large = `{"name":"${'x'.repeat(maxBodyBytes)}"}`
  const announced = { 'content-type': 'application/json', 'content-length': String(large.length) }
  expect(await codeOf(await post(large, announced))).toMatchObject({ status: 413, code: 'body_too_large' })
  expect(await codeOf(await post(large))).toMatchObject({ status: 413, code: 'body_too_large' })
})

test('characters that the database cannot keep are refused before they reach it', async () => {
  const response = await setup().post(String.raw`{"name":"a\u0000"}`)
  expect(await codeOf(response)).toMatchObject({ status: 422, errors: [{ pointer: '/name' }] })
})

test.each([
  ['limit=0', '/limit'],
  ['limit=501', '/limit'],
  ['limit=many', '/limit'],
  ['limti=1', '/limti'],
  ['status=done', '/status'],
  ['runId=1', '/runId'],
])('the query %s is refused', async (query, pointer) => {
  const response = await setup().send('GET', `/v1/jobs?${query}`)
  expect(await codeOf(response)).toMatchObject({ status: 400, code: 'query_invalid', errors: [{ pointer }] })
})

test('a cursor that is not of this list is refused', async () => {
  const { send } = setup()
  for (const list of ['workflows', 'jobs', 'functions', 'cron-jobs']) {
    expect(await codeOf(await send('GET', `/v1/${list}?cursor=abc`))).toMatchObject({
      status: 400,
      code: 'cursor_invalid',
    })
  }
})

test('a database that is away is a passing trouble, told as such', async () => {
  const { app, send, events } = setup()
  const response = await send('GET', '/v1/workflows')
  expect(response.headers.get('retry-after')).toBe('1')
  expect(await codeOf(response)).toMatchObject({ status: 503, code: 'database_unavailable' })
  expect((await app.request('/readyz')).status).toBe(503)
  expect((await app.request('/healthz')).status).toBe(200)
  expect(events.map(({ kind }) => kind)).toEqual(Array.from({ length: 3 }, () => 'request.answered'))
})

test('what is observed of a request is its pattern, never its ids', async () => {
  const { send, events } = setup()
  await send('GET', '/v1/workflows/019a0000-0000-7000-8000-000000000000')
  expect(events).toEqual([
    { kind: 'request.answered', method: 'GET', path: '/v1/workflows/:id', status: 503, ms: expect.any(Number) },
  ])
})

test('the description is OpenAPI 3.1, needs no token and has every path with its problems', async () => {
  const response = await setup().app.request('/openapi.json')
  expect(response.status).toBe(200)
  const document: unknown = await response.json()
  expect(document).toMatchObject({
    openapi: '3.1.0',
    paths: {
      '/v1/workflows': { get: {}, post: {} },
      '/v1/workflows/{id}': { get: {}, put: { responses: { 412: {}, 422: {}, 428: {} } }, delete: {} },
      '/v1/workflows/{id}/steps': { get: {}, post: {} },
      '/v1/workflows/{id}/steps/{stepId}': { get: {}, put: {}, delete: { responses: { 204: {}, 409: {} } } },
      '/v1/workflows/{id}/runs': { get: {}, post: { responses: { 200: {}, 201: {}, 409: {} } } },
      '/v1/runs/{id}': { get: {} },
      '/v1/jobs': { get: {} },
      '/v1/jobs/{id}': { get: {} },
      '/v1/functions': { get: {} },
      '/v1/cron-jobs': { get: {} },
    },
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
  })
})

test('whoever asks gets what is counted, as text for Prometheus', async () => {
  const response = await setup().app.request('/metrics')
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await response.text()).toBe('jobs 7\n')
})
