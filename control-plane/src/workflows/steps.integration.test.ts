import { beforeEach, expect, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { pageSchema } from '../http/pages.ts'
import { stepDocument, workflowDocument } from './document.ts'

let path: string

useApi()
beforeEach(async () => {
  await api.query('truncate workflow cascade')
  const { body } = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps })
  path = `/v1/workflows/${workflowDocument.parse(body).id}`
})

const workflow = async () => workflowDocument.parse((await api.send('GET', path)).body)
const idOf = async (name: string) => (await workflow()).steps.find((step) => step.name === name)?.id ?? ''
const insert = { functionName: 'Database.query', config: { connection: 'crm', sql: 'select 1' } }

test('a step that is added comes last and makes a new version', async () => {
  const answer = await api.send('POST', `${path}/steps`, { ...insert, name: 'count', nextStep: 'insert' })
  const step = stepDocument.parse(answer.body)
  expect(answer.status).toBe(201)
  expect(answer.headers.get('etag')).toBe('"2"')
  expect(answer.headers.get('location')).toBe(`${path}/steps/${step.id}`)
  expect(step.nextStep).toBe(await idOf('insert'))
  expect(await workflow()).toMatchObject({ version: 2, steps: [{}, {}, {}, step] })
  expect((await api.send('GET', `${path}/steps/${step.id}`)).body).toEqual(step)
})

test('a step that is replaced keeps its id and its place, under another name too', async () => {
  const before = await workflow()
  const id = await idOf('get leads')
  const change = { ...leadsSteps[1], name: 'fetch', outputType: 'single', retry: {} }
  const answer = await api.send('PUT', `${path}/steps/${id}`, change)
  expect(answer).toMatchObject({ status: 200, body: { id, name: 'fetch', outputType: 'single', retry: {} } })
  const after = await workflow()
  expect(after.steps.map((step) => step.id)).toEqual(before.steps.map((step) => step.id))
  expect(after.steps[0]).toEqual(before.steps[0])
  expect(after.version).toBe(2)
})

test('a step that another points to stays, and the answer says which', async () => {
  const answer = await api.send('DELETE', `${path}/steps/${await idOf('insert')}`)
  expect(answer).toMatchObject({
    status: 409,
    body: { code: 'step_in_use', detail: 'Step "insert" is the next step of "get leads".' },
  })
  expect((await workflow()).version).toBe(1)
})

test('a step that nobody points to can go', async () => {
  const id = await idOf('every hour')
  expect((await api.send('DELETE', `${path}/steps/${id}`)).status).toBe(204)
  expect((await workflow()).steps.map(({ name }) => name)).toEqual(['get leads', 'insert'])
  expect(await api.send('GET', `${path}/steps/${id}`)).toMatchObject({ status: 404, body: { code: 'step_unknown' } })
})

test('faults have pointers into the step', async () => {
  const body = { name: 'insert', functionName: 'Database.qery', nextStep: 'nowhere' }
  expect(await api.send('POST', `${path}/steps`, body)).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/name' }, { pointer: '/nextStep' }, { pointer: '/functionName' }] },
  })
  expect(
    await api.send('PUT', `${path}/steps/${await idOf('insert')}`, { ...insert, name: 'insert', config: {} }),
  ).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/config/connection' }, { pointer: '/config/sql' }] },
  })
})

test('a step cannot close a circle, nor become a CronJob where others lead into it', async () => {
  const id = await idOf('insert')
  const circle = await api.send('PUT', `${path}/steps/${id}`, { ...insert, name: 'insert', nextStep: 'get leads' })
  expect(circle).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/nextStep', message: 'leads back to the step itself: insert → get leads → insert' }] },
  })
  const cron = { name: 'insert', functionName: 'CronJob', config: { schedule: '@daily' } }
  expect(await api.send('PUT', `${path}/steps/${id}`, cron)).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/functionName' }] },
  })
})

test('the id in the address and the one in the body must be the same', async () => {
  const [id, other] = [await idOf('insert'), await idOf('get leads')]
  expect((await api.send('PUT', `${path}/steps/${id}`, { ...insert, id, name: 'insert' })).status).toBe(200)
  expect(await api.send('PUT', `${path}/steps/${id}`, { ...insert, id: other, name: 'insert' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/id' }] },
  })
})

test('a version that is given is kept to', async () => {
  const stale = { 'if-match': '"7"' }
  const id = await idOf('every hour')
  const answers = [
    await api.send('POST', `${path}/steps`, { ...insert, name: 'new' }, stale),
    await api.send('PUT', `${path}/steps/${id}`, leadsSteps[0], stale),
    await api.send('DELETE', `${path}/steps/${id}`, undefined, stale),
  ]
  for (const answer of answers) expect(answer).toMatchObject({ status: 412, body: { code: 'version_stale' } })
})

test('steps that are added at the same time are all there, each in a version of its own', async () => {
  const names = Array.from({ length: 6 }, (_, index) => `new ${index}`)
  const answers = await Promise.all(names.map((name) => api.send('POST', `${path}/steps`, { ...insert, name })))
  expect(answers.map(({ headers }) => headers.get('etag') ?? '').toSorted()).toEqual([
    '"2"',
    '"3"',
    '"4"',
    '"5"',
    '"6"',
    '"7"',
  ])
  const after = await workflow()
  expect(
    after.steps
      .slice(3)
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(names)
})

test('the steps are listed in their order, page by page', async () => {
  const first = pageSchema(stepDocument).parse((await api.send('GET', `${path}/steps?limit=2`)).body)
  expect(first.items.map(({ name }) => name)).toEqual(['every hour', 'get leads'])
  const second = await api.send('GET', `${path}/steps?limit=2&cursor=${first.nextCursor}`)
  expect(second.body).toMatchObject({ items: [{ name: 'insert' }], nextCursor: null })
})

test('steps and workflows that are not there are told apart', async () => {
  const nobody = '019a0000-0000-7000-8000-000000000000'
  for (const [method, body] of [
    ['GET', undefined],
    ['PUT', { ...insert, name: 'x' }],
    ['DELETE', undefined],
  ] as const) {
    expect(await api.send(method, `${path}/steps/${nobody}`, body)).toMatchObject({
      status: 404,
      body: { code: 'step_unknown' },
    })
    expect(await api.send(method, `/v1/workflows/${nobody}/steps/${nobody}`, body)).toMatchObject({
      status: 404,
      body: { code: 'workflow_unknown' },
    })
  }
})
