import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startRdStation } from '@esteira/dev/rd-station'
import { type Engine, laneName, useEngine } from '@esteira/test/engine'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const own = { clientId: 'own-id', clientSecret: 'own-secret', refreshToken: 'own-token' }

/** Starts the worker, with what it said, which holds no secret. */
const startProgram = async (env: Record<string, string>) => {
  const program = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], {
    env: {
      DATABASE_URL: engine.databaseUrl,
      RABBITMQ_URL: engine.rabbitmqUrl,
      ESTEIRA_LANE: laneName,
      RDSTATION_CLIENT_ID: own.clientId,
      RDSTATION_CLIENT_SECRET: own.clientSecret,
      RDSTATION_REFRESH_TOKEN: own.refreshToken,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  program.stdout.on('data', (bytes) => (said += String(bytes)))
  const exited = once(program, 'exit')
  onTestFinished(() => {
    program.kill('SIGKILL')
  })
  await waitFor(() => said.includes('"event":"ready"'), { describe: () => said, deadlineMs: 60_000 })
  const end = async () => {
    program.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  }
  return { said: () => said, end }
}

test('the payload names the account; its secrets and its row of the limit are used, and a missing one is named', async () => {
  const acme = { clientId: 'acme-id', clientSecret: 'acme-secret', refreshToken: 'acme-token' }
  const rdStation = await startRdStation({ leads: 8, credentials: acme })
  onTestFinished(rdStation.stop)
  const worker = await startProgram({
    RDSTATION_BASE_URL: rdStation.url,
    ESTEIRA_SECRET_RDSTATION_ACME_CLIENT_ID: acme.clientId,
    ESTEIRA_SECRET_RDSTATION_ACME_CLIENT_SECRET: acme.clientSecret,
    ESTEIRA_SECRET_RDSTATION_ACME_REFRESH_TOKEN: acme.refreshToken,
  })
  const workflow = await engine.saveWorkflow({
    functionName: 'RdStation.getLeads',
    outputType: 'single',
    config: { segmentationId: 1, connection: '{{ payload.account }}' },
  })
  const jobOf = async (account: string) => {
    const run = await engine.begin(workflow, { account })
    await engine.over(run)
    return (await engine.jobs(run))[0]
  }
  expect((await jobOf('acme'))?.output).toHaveLength(8)
  expect((await jobOf('globex'))?.error).toEqual({
    code: 'secret_missing',
    message: expect.stringMatching(/^secret "rdstation-globex-client-id" is not there: .*_RDSTATION_GLOBEX_CLIENT_ID /),
  })
  expect((await jobOf('../acme'))?.error).toMatchObject({ code: 'config_invalid' })
  expect((await jobOf('default'))?.error).toMatchObject({
    code: 'unauthorized',
    message: expect.stringContaining('the account "default"'),
  })
  expect(await engine.query('select name from rate_limit order by name')).toEqual([
    { name: 'rd-station acme' },
    { name: 'rd-station default' },
  ])
  await worker.end()
  for (const secret of [acme.clientSecret, acme.refreshToken, own.clientSecret, own.refreshToken]) {
    expect(worker.said()).not.toContain(secret)
  }
}, 120_000)
