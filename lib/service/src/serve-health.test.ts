import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const servesHealth = `
  import { serveHealth } from ${JSON.stringify(import.meta.resolve('./serve-health.ts'))}
  await serveHealth({ isReady: () => true, metrics: async () => '' }, '127.0.0.1', 0)
  console.log(process.moduleLoadList.join('\\n'))`

test('a process that serves its health loads no client of HTTP, and no HTTP/2', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', servesHealth])
  expect(stdout).toContain('NativeModule _http_server\n')
  expect(stdout).not.toMatch(/undici|http2/)
})
