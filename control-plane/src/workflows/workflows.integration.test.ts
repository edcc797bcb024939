import { beforeEach, expect, test } from 'vitest'
import { hold } from '../../test/hold.ts'
import { type Answer, leadsSteps, statusesOf } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { pageSchema } from '../http/pages.ts'
import { workflowDocument } from './document.ts'

useApi()
beforeEach(() => api.query('truncate workflow cascade'))

const workflowOf = ({ body }: Answer) => workflowDocument.parse(body)
const create = async (change: Record<string, unknown> = {}) =>
  workflowOf(await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps, ...change }))
const put = (id: string, version: number, body: unknown) =>
  api.send('PUT', `/v1/workflows/${id}`, body, { 'if-match': `"${version}"` })

test('a workflow is saved with its defaults, its order, and next steps as ids', async () => {
  const answer = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps })
  const workflow = workflowOf(answer)
  expect(answer.status).toBe(201)
  expect(answer.headers.get('etag')).toBe('"1"')
  expect(answer.headers.get('location')).toBe(`/v1/workflows/${workflow.id}`)
  expect(workflow).toMatchObject({ automationType: 'step', client: null, enabled: true, version: 1 })
  const [tick, get, insert] = workflow.steps
  expect(tick).toMatchObject({
    name: 'every hour',
    nextStep: get?.id,
    outputType: 'multiple',
    retry: {},
    timeoutMs: null,
  })
  expect(get).toMatchObject({ nextStep: insert?.id, retry: { maxAttempts: 3 }, timeoutMs: 60_000 })
  expect(insert).toMatchObject({ name: 'insert', nextStep: null, outputType: null })
  expect(workflowOf(await api.send('GET', `/v1/workflows/${workflow.id}`))).toEqual(workflow)
  expect(workflowOf(await api.send('GET', `/v1/workflows/${workflow.id.toUpperCase()}`))).toEqual(workflow)
})

test('what was read can be sent back as it is, and nothing but the version changes', async () => {
  const before = await create()
  const answer = await put(before.id, 1, before)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('etag')).toBe('"2"')
  const after = workflowOf(answer)
  expect(after).toEqual({ ...before, version: 2, updatedAt: after.updatedAt })
  expect(new Date(after.updatedAt) > new Date(before.updatedAt)).toBe(true)
})

test('a workflow that somebody holds locked is not changed, and who asks is told so soon', async () => {
  const { id, steps } = await create()
  const at = `/v1/workflows/${id}`
  const { pid, release } = await hold('select pg_backend_pid() as pid from workflow where id = $1 for update', id)
  const changes = [
    () => put(id, 1, { name: 'leads', steps: [] }),
    () => api.send('POST', `${at}/steps`, { name: 'more', functionName: 'Database.query' }),
    () => api.send('PUT', `${at}/steps/${steps[2]?.id}`, leadsSteps[2]),
    () => api.send('DELETE', `${at}/steps/${steps[2]?.id}`),
    () => api.send('DELETE', at),
  ]
  for (const change of changes) {
    expect(await change()).toMatchObject({
      status: 409,
      body: {
        code: 'workflow_busy',
        detail: expect.stringContaining(`Session ${pid} of Postgres holds workflow ${id} locked`),
      },
    })
  }
  await release()
  expect(workflowOf(await api.send('GET', at))).toMatchObject({ version: 1, steps })
  expect((await api.send('DELETE', at)).status).toBe(204)
})

test('the steps of an earlier version stay as they were', async () => {
  const { id, steps } = await create()
  await put(id, 1, { name: 'leads', steps: steps.slice(0, 0) })
  expect(await api.query('select version, count(*)::int from workflow_step group by 1', [])).toEqual([
    { version: 1, count: 3 },
  ])
  await expect(api.query(`update workflow_step set name = 'x'`)).rejects.toThrow('cannot change')
})

test('a step keeps its id by its name, and through a new name by its id', async () => {
  const { id, steps } = await create()
  const [tick, get, insert] = steps
  const renamed = [
    { ...leadsSteps[0], nextStep: 'fetch' },
    { ...leadsSteps[1], id: get?.id, name: 'fetch' },
    leadsSteps[2],
  ]
  const after = workflowOf(await put(id, 1, { name: 'leads', steps: renamed }))
  expect(after.steps.map((step) => [step.id, step.name])).toEqual([
    [tick?.id, 'every hour'],
    [get?.id, 'fetch'],
    [insert?.id, 'insert'],
  ])
})

test('a step that was taken out comes back under its id when an earlier document is sent again', async () => {
  const before = await create()
  await put(before.id, 1, { name: 'leads', steps: [] })
  const after = workflowOf(await put(before.id, 2, before))
  expect(after.steps).toEqual(before.steps)
})

test('a change needs the version that it is meant for', async () => {
  const { id } = await create()
  const missing = await api.send('PUT', `/v1/workflows/${id}`, { name: 'leads', steps: [] })
  expect(missing).toMatchObject({ status: 428, body: { code: 'version_required' } })
  expect(await put(id, 2, { name: 'leads', steps: [] })).toMatchObject({ status: 412, body: { code: 'version_stale' } })
  const wrong = await api.send('PUT', `/v1/workflows/${id}`, { name: 'leads', steps: [] }, { 'if-match': '1' })
  expect(wrong).toMatchObject({ status: 400, body: { code: 'version_invalid' } })
  const any = await api.send('PUT', `/v1/workflows/${id}`, { name: 'leads', steps: [] }, { 'if-match': '*' })
  expect(any.status).toBe(200)
})

test('of many who change the same version at once, one succeeds', async () => {
  const { id } = await create()
  const names = Array.from({ length: 8 }, (_, index) => `leads ${index}`)
  const answers = await Promise.all(names.map((name) => put(id, 1, { name, steps: leadsSteps })))
  expect(statusesOf(answers)).toEqual([200, ...names.slice(1).map(() => 412)])
  expect(workflowOf(await api.send('GET', `/v1/workflows/${id}`)).version).toBe(2)
})

test('two workflows cannot have one name, not even when they are saved at the same time', async () => {
  const answers = await Promise.all([1, 2, 3].map(() => api.send('POST', '/v1/workflows', { name: 'leads' })))
  expect(statusesOf(answers)).toEqual([201, 409, 409])
  const other = await create({ name: 'other' })
  expect(await put(other.id, 1, { name: 'leads', steps: [] })).toMatchObject({
    status: 409,
    body: { code: 'workflow_name_taken', errors: [{ pointer: '/name' }] },
  })
})

test('a deleted workflow is gone, its name is free, and its rows stay', async () => {
  const { id } = await create()
  expect((await api.send('DELETE', `/v1/workflows/${id}`, undefined, { 'if-match': '"2"' })).status).toBe(412)
  expect((await api.send('DELETE', `/v1/workflows/${id}`)).status).toBe(204)
  for (const method of ['GET', 'DELETE']) {
    expect(await api.send(method, `/v1/workflows/${id}`)).toMatchObject({
      status: 404,
      body: { code: 'workflow_unknown' },
    })
  }
  expect(await put(id, 1, { name: 'leads', steps: [] })).toMatchObject({ status: 404 })
  expect((await api.send('POST', `/v1/workflows/${id}/steps`, leadsSteps[2])).status).toBe(404)
  expect((await create()).id).not.toBe(id)
  expect(await api.query('select count(*)::int from workflow')).toEqual([{ count: 2 }])
})

test('every fault of a document is told at once, and nothing is saved', async () => {
  const steps = [
    { name: 'tick', functionName: 'CronJob', config: { schedule: '61 * * * *' }, nextStep: 'Get' },
    { name: 'get', functionName: 'database.query', nextStep: 'tick' },
    { name: 'put', functionName: 'Database.query', config: { conection: 'crm', sql: 'select {{ payload }}' } },
    { name: 'a', functionName: 'RdStation.getLeads', config: { segmentationId: '{{ payload. }}' }, nextStep: 'a' },
  ]
  expect(await api.send('POST', '/v1/workflows', { name: 'leads', steps })).toMatchObject({
    status: 422,
    body: {
      code: 'body_invalid',
      errors: [
        { pointer: '/steps/0/nextStep', message: 'there is no step "Get" in this workflow, did you mean "get"?' },
        { pointer: '/steps/1/nextStep', message: 'step "tick" is a CronJob: it begins runs and takes no jobs' },
        { pointer: '/steps/3/nextStep', message: 'leads back to the step itself: a → a' },
        { pointer: '/steps/0/config/schedule', message: expect.stringContaining('the minute "61"') },
        { pointer: '/steps/1/functionName', message: expect.stringContaining('did you mean "Database.query"?') },
        { pointer: '/steps/2/config/connection', message: 'is missing' },
        { pointer: '/steps/2/config/conection', message: expect.stringContaining('did you mean "connection"?') },
        { pointer: '/steps/2/config/sql', message: 'takes no {{ expression }}' },
        { pointer: '/steps/3/config/segmentationId' },
      ],
    },
  })
  expect(await api.query('select 1 from workflow')).toEqual([])
})

test('an id of another workflow is refused', async () => {
  const [step] = (await create()).steps
  const answer = await api.send('POST', '/v1/workflows', { name: 'copy', steps: [step] })
  expect(answer).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/steps/0/id' }, { pointer: '/steps/0/nextStep' }] },
  })
})

test('the workflows are listed in the order they were made, page by page', async () => {
  const names = ['c', 'a', 'b']
  for (const name of names) await create({ name })
  const seen: string[] = []
  let next: string | null = null
  do {
    const { status, body } = await api.send('GET', `/v1/workflows?limit=2${next === null ? '' : `&cursor=${next}`}`)
    expect(status).toBe(200)
    const page = pageSchema(workflowDocument).parse(body)
    expect(page.items.every(({ steps }) => steps.length === 3)).toBe(true)
    seen.push(...page.items.map(({ name }) => name))
    next = page.nextCursor
  } while (next !== null)
  expect(seen).toEqual(names)
})

test('what offers no worker is not known, what does is listed with its schemas', async () => {
  const { body } = await api.send('GET', '/v1/functions?limit=2')
  expect(body).toMatchObject({
    items: [
      { name: 'CronJob', configSchema: { type: 'object' } },
      { name: 'Database.query', inputSchema: null },
    ],
    nextCursor: expect.any(String),
  })
})

test('every save is told, a refused one is not', async () => {
  const before = api.told.saves
  const { id } = await create()
  await put(id, 1, { name: 'leads', steps: [] })
  await put(id, 1, { name: 'leads', steps: [] })
  await api.send('DELETE', `/v1/workflows/${id}`)
  expect(api.told.saves - before).toBe(3)
})
