import { beforeAll, expect, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { workflowDocument } from './document.ts'

useApi()

let path: string
let getId: string | undefined

beforeAll(async () => {
  const { body } = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps })
  const { id, steps } = workflowDocument.parse(body)
  path = `/v1/workflows/${id}`
  getId = steps[1]?.id
})

const refused = (errors: unknown[]) => ({ status: 422, body: { code: 'body_invalid', errors } })

test('a member that does not fit hides no other fault of a workflow', async () => {
  const body = {
    nmae: 'x',
    enabled: 'yes',
    steps: [
      { name: 'get', functionName: 'RdStation.getLead', outputType: 'Multiple', nextStep: 'insret' },
      { name: 'insert', functionName: 'Database.query', timeoutMs: 1_500_001, config: { conection: 'crm', sql: 'x' } },
      { name: '', functionName: 'Database.query', config: 'x' },
      7,
    ],
  }
  const errors = [
    { pointer: '/name', message: 'is missing, must be a string' },
    { pointer: '/enabled', message: 'must be true or false, "yes" came' },
    { pointer: '/steps/0/outputType', message: expect.stringContaining('did you mean "multiple"?') },
    { pointer: '/steps/1/timeoutMs', message: 'must be at most 1500000' },
    { pointer: '/steps/2/name', message: 'must not be blank' },
    { pointer: '/steps/2/config', message: 'must be an object, "x" came' },
    { pointer: '/steps/3', message: 'must be an object, 7 came' },
    { pointer: '/nmae', message: 'is not known here, did you mean "name"?' },
    { pointer: '/steps/0/nextStep', message: 'there is no step "insret" in this workflow, did you mean "insert"?' },
    { pointer: '/steps/0/functionName', message: expect.stringContaining('did you mean "RdStation.getLeads"?') },
    { pointer: '/steps/1/config/connection', message: 'is missing' },
    { pointer: '/steps/1/config/conection', message: 'is not known here, did you mean "connection"?' },
    { pointer: '/steps/1/config/sql', message: 'syntax error at or near "x", at line 1, column 1' },
  ]
  expect(await api.send('POST', '/v1/workflows', body)).toMatchObject(refused(errors))
  expect(await api.send('PUT', path, body, { 'if-match': '*' })).toMatchObject(refused(errors))
})

test('a member that does not fit hides no other fault of a step', async () => {
  const body = { name: 'get', functionName: 'RdStation.getLeads', outputType: 'array', nextStep: 'get leads' }
  expect(await api.send('POST', `${path}/steps`, body)).toMatchObject(
    refused([{ pointer: '/outputType' }, { pointer: '/config/segmentationId', message: 'is missing' }]),
  )
  expect(await api.send('PUT', `${path}/steps/${getId}`, { ...body, name: 'get leads' })).toMatchObject(
    refused([
      { pointer: '/outputType' },
      { pointer: '/nextStep', message: 'leads back to the step itself: get leads → get leads' },
      { pointer: '/config/segmentationId', message: 'is missing' },
    ]),
  )
})

test('a body that is no document at all is one fault', async () => {
  const errors = [{ pointer: '', message: 'must be an object, an array came' }]
  for (const [method, to] of [
    ['POST', '/v1/workflows'],
    ['POST', `${path}/steps`],
    ['PUT', `${path}/steps/${getId}`],
  ] as const) {
    expect(await api.send(method, to, [])).toMatchObject(refused(errors))
  }
})

test('for a workflow or a step that is not there that is the answer, whatever the body', async () => {
  const nowhere = '019a0000-0000-7000-8000-000000000000'
  expect(await api.send('POST', `/v1/workflows/${nowhere}/steps`, [])).toMatchObject({ status: 404 })
  expect(await api.send('PUT', `${path}/steps/${nowhere}`, [])).toMatchObject({
    status: 404,
    body: { code: 'step_unknown' },
  })
})

test('a statement that Postgres could not read is refused, and so are parameters without values; the next save is taken', async () => {
  const step = (sql: string, parameters?: unknown) => ({
    name: sql.slice(0, 100),
    functionName: 'Database.query',
    config: { connection: 'crm', sql, ...(parameters === undefined ? {} : { parameters }) },
  })
  const faultOf = async (body: object) => api.send('POST', `${path}/steps`, body)
  expect(await faultOf(step("select 'ação'\n form leads"))).toMatchObject(
    refused([{ pointer: '/config/sql', message: 'syntax error at or near "leads", at line 2, column 7' }]),
  )
  expect(await faultOf(step('select :email, :name', { mail: '{{ payload }}', name: 1 }))).toMatchObject(
    refused([
      { pointer: '/config/parameters/email', message: 'is missing: sql has :email' },
      { pointer: '/config/parameters/mail', message: 'is not used in sql, did you mean "email"?' },
    ]),
  )
  expect(await faultOf(step('select $1, $2', ['{{ payload }}']))).toMatchObject(
    refused([{ pointer: '/config/parameters', message: 'has 1 value, and the last parameter of sql is $2' }]),
  )
  for (let times = 0; times < 50; times += 1) {
    const errors = [{ pointer: '/config/sql', message: expect.stringContaining('nests too deep') }]
    expect(await faultOf(step(`select 1${'+1'.repeat(15_000)}`))).toMatchObject(refused(errors))
  }
  expect(await faultOf(step('select $1::text, $2', ['{{ payload }}', 2]))).toMatchObject({ status: 201 })
})
