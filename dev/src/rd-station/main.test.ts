import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

const start = (env: Record<string, string>) => {
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, exited }
}

test('the process says where it listens, obeys its environment, and ends on SIGTERM', async () => {
  const { child, exited } = start({ RDSTATION_LEADS: '7', RDSTATION_RATE_LIMIT: '0', RDSTATION_CLIENT_ID: 'me' })
  const [line] = await once(createInterface(child.stdout), 'line')
  const ready = JSON.parse(line)
  expect(ready).toMatchObject({ level: 'info', name: 'rd-station', event: 'ready' })
  const state = await (await fetch(`${ready.url}/_control`)).json()
  expect(state).toMatchObject({ leads: 7, rateLimitPerMinute: null })
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('a variable that is wrong or misspelt is named before anything starts', async () => {
  const { child, exited } = start({ RDSTATION_PORT: 'eighty', RDSTATION_LEAD: '7' })
  const message = await text(child.stderr)
  expect(message).toContain('RDSTATION_PORT')
  expect(message).toContain('did you mean "RDSTATION_LEADS"?')
  expect(await exited).toEqual([2, null])
})
