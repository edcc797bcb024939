import { randomInt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { holdFirstFreePort } from '@esteira/dev/house'
import { pack, publishedFolders } from '@esteira/dev/pack'
import { createEmptyProject, type EmptyProject, startTestHouse, testServers, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/write-a-function.md'), 'utf8')

/** The page's files, by the name in their first line. Of one that is there twice, the one for a project of one's own. */
const files = new Map(
  [...page.matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```$/gms)].map(([, name = '', text = '']) => [name, text]),
)

const documents = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text = '']): object => JSON.parse(text))

/** The page's JSON that has a member. */
const documentWith = (member: string): object => documents.find((document) => member in document) ?? {}

/** Those of the page that a project installs from a registry, in the versions of this repository. */
const pinned = (name: string): string =>
  `${name}@${JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version}`

let project: EmptyProject
let tarballs: string
beforeAll(async () => {
  tarballs = await mkdtemp(join(tmpdir(), 'packages-'))
  project = await createEmptyProject()
  const others = ['zod', 'vitest', 'typescript', '@types/node'].map(pinned)
  await project.install([...(await pack(publishedFolders, tarballs)), ...others])
  for (const [name, text] of files) await project.write(name, text)
  await project.write('tsconfig.json', JSON.stringify(documentWith('compilerOptions')))
}, 400_000)
afterAll(async () => {
  await project.remove()
  await rm(tarballs, { recursive: true })
})

/** Nothing of this test run's own environment, which vitest would take for its own. */
const env = (more: Record<string, string> = {}) => ({
  PATH: process.env['PATH'],
  HOME: process.env['HOME'],
  NO_COLOR: '1',
  ...more,
})

const runTests = (file: string, more?: Record<string, string>): Promise<string> =>
  project.run('node_modules/vitest/vitest.mjs', env(more), 'run', file)

test('the files of the page, in a project with the packages alone, fit their types and pass their tests', async () => {
  expect([...files.keys()].toSorted()).toEqual([
    'src/main.ts',
    'src/send-message.integration.test.ts',
    'src/send-message.test.ts',
    'src/send-message.ts',
    'test/gateway.ts',
    'test/servers.ts',
  ])
  expect(await project.typeFaults()).toBe('')
  // Those of others' types are not ours to mend.
  const ofTypes = await project.typeFaults('--skipLibCheck', 'false')
  expect(ofTypes.split('\n').filter((line) => line.startsWith('node_modules/@esteira'))).toEqual([])
  for (const folder of ['@esteira/test', '@esteira/dev']) expect(existsSync(project.folderOf(folder))).toBe(false)
  expect(await runTests('src/send-message.test.ts')).toMatch(/Tests +2 passed/)
  const { databaseUrl, rabbitmqUrl } = testServers()
  const given = { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmqUrl }
  expect(await runTests('src/send-message.integration.test.ts', given)).toMatch(/Tests +1 passed/)
}, 400_000)

test('the worker of the page serves its workflow in a house, which sends each message once', async () => {
  const house = await startTestHouse({ leads: 1, cron: 'off', crmSql: 'select' })
  onTestFinished(house.stop)
  // The page's own port may be taken on a machine that runs tests.
  const held = await holdFirstFreePort(randomInt(20_000, 32_000))
  await held.release()
  const gateway = project.start('test/gateway.ts', env(), String(held.port))
  const worker = project.start(
    'src/main.ts',
    env({
      DATABASE_URL: house.settings.databaseUrl,
      RABBITMQ_URL: house.settings.rabbitmqUrl,
      // Nobody relays this lane, so a neighbour adopts it.
      ESTEIRA_LANE: 'messages-send',
      ESTEIRA_SECRET_GATEWAY_TOKEN: 'a-token-of-the-test',
    }),
  )
  await waitFor(() => worker.lines.some((line) => line.includes('"event":"ready"')), {
    deadlineMs: 60_000,
    describe: () => worker.lines,
  })
  expect(worker.lines.join('\n')).toContain('"name":"Messages.send"')

  const document = JSON.stringify(documentWith('steps')).replace(':4000/', `:${held.port}/`)
  const workflow = await house.api.createWorkflow(JSON.parse(document))
  const payload = { name: 'Ana Souza', phone: '+55 11 91234-5678' }
  const run = await house.api.startRun(workflow, { payload })
  expect(await house.api.runOver(run.id)).toMatchObject({ status: 'succeeded' })
  const [job] = await house.api.jobs(workflow, run.id, 'send')
  expect(job).toMatchObject({ status: 'succeeded', output: { messageId: 'm-2' } })
  expect(gateway.lines).toEqual([`{"to":"+55 11 91234-5678","text":"Hello Ana"} ${job?.id}`])

  worker.child.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
})
