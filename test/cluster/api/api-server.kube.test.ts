import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sight } from '@esteira/dev/processes'
import { waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import {
  createKubectl,
  createNamespace,
  readAuditLog,
  startOwnApiServer,
  startsApiServers,
  type OwnApiServer,
  type TestNamespace,
} from '../index.ts'
import { createAsk } from './ask.ts'
import { listShape, openRawClient } from './raw-client.ts'

const reading = { apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['get', 'list'] }

const named = z.object({ metadata: z.object({ name: z.string() }) })

/** A kubeconfig of the tests. */
const withUsers = z.looseObject({
  users: z.tuple([z.object({ name: z.string(), user: z.object({ token: z.string() }) })]),
})

const cronJob = (name: string, change: object = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name },
  spec: {
    schedule: '*/5 * * * *',
    jobTemplate: {
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'one', image: 'none' }] } } },
    },
    ...change,
  },
})

describe('a namespace of a test', () => {
  let namespace: TestNamespace
  beforeAll(async () => {
    namespace = await createNamespace()
  })
  afterAll(() => namespace.drop())

  const as = (kubeconfig: string) =>
    createKubectl({ kubectl: inject('helmTools').kubectl, kubeconfig, folder: inject('apiServer').folder })

  test('holds what its administrator makes, and what the API server refuses is told in its words', async () => {
    await namespace.kubectl(['create', '--filename', '-'], cronJob('right'))
    expect(await namespace.kubectl(['get', 'cronjobs', '--output', 'name'])).toBe('cronjob.batch/right\n')
    await expect(
      namespace.kubectl(['create', '--filename', '-'], cronJob('wrong', { schedule: '61 * * * *' })),
    ).rejects.toThrow(/spec\.schedule: Invalid value: "61 \* \* \* \*"/)
  })

  test('gives a service account what its rules say, and nothing else', async () => {
    const reader = as(await namespace.serviceAccount('reader', [reading]))
    expect(await reader(['get', 'cronjobs', '--output', 'name'])).toContain('right')
    await expect(reader(['delete', 'cronjob', 'right'])).rejects.toThrow(/Forbidden/)
    await expect(reader(['get', 'cronjobs', '--namespace', 'default'])).rejects.toThrow(/Forbidden/)
    await expect(reader(['get', 'secrets'])).rejects.toThrow(/Forbidden/)
  })

  test('is asked at any path, by a token or by what kubectl alone knows of a user, and does no more than that user may', async () => {
    await namespace.kubectl(['create', '--filename', '-'], cronJob('at-a-path'))
    const account = await namespace.serviceAccount('by-path', [reading])
    // Of a token in a file kubectl reads the file, again and again.
    const { users, ...config } = withUsers.parse(JSON.parse(readFileSync(account, 'utf8')))
    const [{ name, user }] = users
    writeFileSync(`${account}.token`, user.token)
    const byFile = { ...config, users: [{ name, user: { tokenFile: `${account}.token` } }] }
    writeFileSync(`${account}.by-file`, JSON.stringify(byFile), { mode: 0o600 })
    const inHere = (kind: string) => `/apis/batch/v1/namespaces/${namespace.name}/${kind}`
    for (const kubeconfig of [account, `${account}.by-file`]) {
      const ask = createAsk(kubeconfig, as(kubeconfig))
      const at = `${inHere('cronjobs')}/at-a-path`
      const { metadata } = named.parse(await ask('GET', at))
      expect(metadata.name).toBe('at-a-path')
      await expect(ask('GET', `${inHere('cronjobs')}/none`)).rejects.toThrow(/NotFound/)
      await expect(ask('GET', inHere('jobs'))).rejects.toThrow(/forbidden/i)
      await expect(ask('POST', inHere('cronjobs'), cronJob('none'))).rejects.toThrow(/forbidden/i)
      await expect(ask('DELETE', at)).rejects.toThrow(/forbidden/i)
    }
  })

  test('is not that of another test', async () => {
    const other = await createNamespace()
    expect(await other.kubectl(['get', 'cronjobs', '--output', 'name'])).toBe('')
    await other.drop()
  })

  test.runIf(startsApiServers())('is written of in the audit log, request by request', async () => {
    const account = as(await namespace.serviceAccount('audited', [reading]))
    await account(['get', 'cronjob', 'right'])
    await expect(account(['delete', 'cronjob', 'right'])).rejects.toThrow(/Forbidden/)
    const user = `system:serviceaccount:${namespace.name}:audited`
    const ofCronJobs = () =>
      readAuditLog(inject('apiServer').auditLog ?? '', user).filter(
        ({ stage, objectRef }) => stage === 'ResponseComplete' && objectRef?.resource === 'cronjobs',
      )
    await waitFor(() => ofCronJobs().length >= 2, { describe: ofCronJobs })
    expect(
      ofCronJobs().map(({ verb, objectRef, responseStatus }) => [verb, objectRef?.name, responseStatus?.code]),
    ).toEqual([
      ['get', 'right', 200],
      ['delete', 'right', 403],
    ])
  })
})

describe.runIf(startsApiServers())('an API server of a test', () => {
  let server: OwnApiServer
  let namespace: TestNamespace
  beforeAll(async () => {
    server = await startOwnApiServer()
    namespace = await server.createNamespace()
  })
  afterAll(() => server.drop())

  const cronJobs = () => `/apis/batch/v1/namespaces/${namespace.name}/cronjobs`

  test('is away when it is killed, and has its data when it is back at the same address', async () => {
    await namespace.kubectl(['create', '--filename', '-'], cronJob('kept'))
    const client = openRawClient(namespace.kubeconfig)
    await server.kill()
    await expect(client.ask('GET', cronJobs())).rejects.toThrow('ECONNREFUSED')
    await server.start()
    const { status, body } = await client.ask('GET', cronJobs())
    expect([status, listShape.parse(body).items.length]).toEqual([200, 1])
    client.close()
  })

  test('answers a watch and a page of its past with a real 410, after it has forgotten it', async () => {
    for (const name of ['one', 'two', 'three']) await namespace.kubectl(['create', '--filename', '-'], cronJob(name))
    const client = openRawClient(namespace.kubeconfig)
    const { metadata } = listShape.parse((await client.ask('GET', `${cronJobs()}?limit=1`)).body)
    await server.forget()
    const page = await client.ask('GET', `${cronJobs()}?limit=1&continue=${metadata.continue}`)
    expect([page.status, page.body]).toMatchObject([410, { reason: 'Expired' }])
    const watch = await client.watch(`${cronJobs()}?watch=true&resourceVersion=${metadata.resourceVersion}`)
    await waitFor(() => watch.events.length > 0 || watch.status === 410, { describe: () => watch })
    expect(watch.status === 410 ? 410 : watch.events[0]?.code).toBe(410)
    await watch.closed
    client.close()
  })

  test('leaves nothing behind', async () => {
    const folder = dirname(server.kubeconfig)
    const record = recordShape.parse(JSON.parse(readFileSync(join(folder, 'processes.json'), 'utf8')))
    const running = () => record.processes.filter(({ pid }) => sight(pid)?.command.includes(folder) === true).length
    expect([running(), existsSync(folder)]).toEqual([2, true])
    await server.drop()
    expect([running(), existsSync(folder)]).toEqual([0, false])
  })
})

const recordShape = z.object({ processes: z.array(z.object({ pid: z.number() })) })
