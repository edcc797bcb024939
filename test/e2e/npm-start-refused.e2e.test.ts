import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runNpmStart, serversOfRun } from '@esteira/test/support'
import { afterAll, expect, onTestFinished, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'esteira-refused-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A port of 127.0.0.1 that somebody listens on until the test is over. */
const takenPort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port')
  return address.port
}

test.each([
  { words: ['--lead', '5'], says: ['there is no option --lead, did you mean "--leads"?'] },
  { words: ['--leads', 'many'], says: ['--leads expects a whole number from 0 to 10000000, "many" is not'] },
  { words: ['--port', '70000'], says: ['--port expects a whole number from 1 to 65535, "70000" is not'] },
  { words: ['--keep'], says: ['--keep goes with --once'] },
])('$words is refused with what was expected, and the options', async ({ words, says }) => {
  const data = join(folder, 'never')
  const { code, stderr } = await runNpmStart(['--data', data, ...words])
  expect(code).toBe(2)
  expect(stderr.split('\n\n')[0]?.split('\n')).toEqual(expect.arrayContaining(says))
  expect(stderr).toContain('npm start [-- options]')
  expect(existsSync(data), 'a stack was begun').toBe(false)
})

test.each([
  {
    env: { ESTEIRA_ADMIN_TOKN: 'x' },
    says: 'ESTEIRA_ADMIN_TOKN is not a variable of Esteira, did you mean "ESTEIRA_ADMIN_TOKEN"?\n',
  },
  {
    env: { RABITMQ_URL: 'amqp://somewhere' },
    says: 'RABITMQ_URL is not a variable of Esteira, did you mean "RABBITMQ_URL"?\n',
  },
  {
    env: { ESTEIRA_HTTP_PORT: '8081' },
    says: 'ESTEIRA_HTTP_PORT has no effect on npm start, which takes --port; unset it\n',
  },
  {
    env: { DATABASE_URL: 'me:secret@somewhere' },
    says:
      'DATABASE_URL (Postgres that holds workflows, jobs and the outbox): ' +
      'expected an address such as postgres://user:password@host:port/name, its value is not\n',
  },
])('an environment of $env is refused in one line', async ({ env, says }) => {
  const data = join(folder, 'never')
  const { code, stderr } = await runNpmStart(['--data', data], env)
  expect({ code, stderr }).toEqual({ code: 2, stderr: says })
  expect(existsSync(data), 'a stack was begun').toBe(false)
})

test('a port that was asked for and is taken is said in one line', async () => {
  const port = await takenPort()
  const data = join(folder, 'never')
  const { code, stderr } = await runNpmStart(['--data', data, '--port', String(port)])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `port ${port} of 127.0.0.1 is taken; --port takes another\n`,
  })
  expect(existsSync(data), 'a stack was begun').toBe(false)
})

test('a folder with something else in it is not taken for data, nor emptied', async () => {
  const data = join(folder, 'photos')
  mkdirSync(data)
  writeFileSync(join(data, 'cat.jpg'), '')
  const { code, stderr } = await runNpmStart(['--data', data, '--fresh'])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `--data: ${realpathSync(data)} holds something else, cat.jpg; choose a new folder, an empty one, or one of an earlier start\n`,
  })
  expect(existsSync(join(data, 'cat.jpg'))).toBe(true)
})

test('a database that nobody answers for is said in one line, without its password, and ends the start', async () => {
  const url = 'postgres://me:open-sesame@127.0.0.1:1/esteira'
  const began = performance.now()
  const { code, stdout, stderr } = await runNpmStart(['--once', '--data', join(folder, 'data')], { DATABASE_URL: url })
  expect(code).toBe(1)
  expect(stderr).toBe(
    'postgres at postgres://me@127.0.0.1:1/esteira does not answer: connect ECONNREFUSED 127.0.0.1:1\n',
  )
  expect(stdout).not.toContain('open-sesame')
  expect(performance.now() - began, 'milliseconds').toBeLessThan(30_000)
})

test('a virtual host that another house uses is refused before anything is taken from it', async () => {
  const [mine, theirs] = await Promise.all([serversOfRun(), serversOfRun()])
  const start = (name: string, servers: typeof mine) =>
    runNpmStart(['--once', '--leads', '5', '--data', join(folder, name)], servers)
  expect(await start('first', mine)).toMatchObject({ code: 0, stderr: '' })
  const { code, stderr } = await start('second', { ...theirs, RABBITMQ_URL: mine.RABBITMQ_URL })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^rabbitmq at amqp:\S+ is used by a house with another database, .*\n$/)
  expect(await start('first', mine), 'it is still the first one of them that may').toMatchObject({
    code: 0,
    stderr: '',
  })
})
