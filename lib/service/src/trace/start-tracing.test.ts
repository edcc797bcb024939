import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { listingPackages, startOtlpReceiver, startSilentServer } from '@esteira/test/support'
import { describe, expect, onTestFinished, test } from 'vitest'

const program = fileURLToPath(new URL('../../test/traced-program/main.ts', import.meta.url))

/** Runs a process to its end, and gives its lines. */
const run = async (env: Record<string, string>): Promise<{ code: unknown; lines: Record<string, unknown>[] }> => {
  const child = spawn(process.execPath, [program], {
    env: { ...listingPackages, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { code, lines: said.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)])) }
}

const ofTelemetry = ({ packages }: Record<string, unknown> = {}): unknown[] =>
  Array.isArray(packages) ? packages.filter((name) => String(name).startsWith('@opentelemetry/')) : []

// Processes, which take as long as the machine lets them.
describe('a process', { timeout: 30_000 }, () => {
  test.each<[string, Record<string, string>]>([
    ['without an exporter', { OTEL_SERVICE_NAME: 'relay' }],
    [
      'with an exporter that is none',
      { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:9' },
    ],
    ['that is told to leave it', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:9' }],
  ])('%s loads nothing of the SDK', async (_, env) => {
    const { code, lines } = await run(env)
    expect(code).toBe(0)
    expect(lines).toMatchObject([{ event: 'loaded' }, { event: 'ended' }])
    expect(ofTelemetry(lines[0])).toEqual(['@opentelemetry/api'])
  })

  test('with an exporter sends its spans before it ends, under its name or the one that it is given', async () => {
    const receiver = await startOtlpReceiver()
    onTestFinished(receiver.stop)
    const { lines } = await run(receiver.env)
    expect(ofTelemetry(lines.find(({ event }) => event === 'loaded'))).toContain('@opentelemetry/sdk-trace')
    expect(receiver.spans()).toMatchObject([{ name: 'work', service: 'traced-program', parent: null }])
    await run({ ...receiver.env, OTEL_SERVICE_NAME: 'another' })
    await run({ ...receiver.env, OTEL_RESOURCE_ATTRIBUTES: 'team=crm,service.name=a%20third' })
    expect(receiver.spans().map(({ service }) => service)).toEqual(['traced-program', 'another', 'a third'])
  })

  test('samples as the variables say', async () => {
    const receiver = await startOtlpReceiver()
    onTestFinished(receiver.stop)
    await run({ ...receiver.env, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' })
    expect(receiver.spans()).toEqual([])
  })

  test('sends protobuf unless told otherwise', async () => {
    const got: unknown[] = []
    const server = createServer((request, response) => {
      got.push([request.url, request.headers['content-type']])
      request.resume().on('end', () => response.end())
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : ''
    await run({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` })
    expect(got).toEqual([['/v1/traces', 'application/x-protobuf']])
  })

  test.each([
    ['is not there', async () => 'http://127.0.0.1:9'],
    [
      'does not answer',
      async () => {
        const silent = await startSilentServer()
        onTestFinished(silent.stop)
        return `http://127.0.0.1:${silent.port}`
      },
    ],
  ])('whose receiver %s ends soon all the same', async (_, open) => {
    const { code, lines } = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: await open() })
    expect(code).toBe(0)
    const ended = lines.find(({ event }) => event === 'ended')
    expect(ended?.ms).toBeLessThan(9_000)
  })

  test.each([
    [{ OTEL_TRACES_EXPORTER: 'jaeger' }, 'OTEL_TRACES_EXPORTER: expected otlp, console or none, "jaeger" is not'],
    [
      { OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'http' },
      'OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, http/json or grpc, "http" is not',
    ],
  ])('with %o says what is wrong and does its work', async (env, reason) => {
    const { code, lines } = await run(env)
    expect(code).toBe(0)
    expect(lines[0]).toMatchObject({ event: 'traces.unavailable', level: 'warn', reason })
  })
})
