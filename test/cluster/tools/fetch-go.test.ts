import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchGo } from './fetch-go.ts'
import { startGoProxy } from './fixtures/go-proxy.ts'

let cache: string

beforeEach(() => {
  cache = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-fetch-go-')))
})

afterEach(() => rmSync(cache, { recursive: true }))

const meansBy = (proxies: string) => ({ cache, env: { GOPROXY: proxies }, tell: () => undefined })

test('a release of another checksum is refused, and nothing of it is kept', async () => {
  const { url, release } = await startGoProxy('another')
  const [target = ''] = Object.keys(release.sums)
  const wanted = { ...release, sums: { [target]: 'h1:wrong' } }
  await expect(fetchGo(meansBy(url), wanted)).rejects.toThrow(/has the checksum h1:\S+= and should have h1:wrong$/)
  expect(readdirSync(cache).toSorted()).toEqual(['logs', 'turns'])
})

test('where a proxy refuses it the next one is asked after a bar, and none after a comma', async () => {
  const { url, path, asked, release } = await startGoProxy('works')
  await expect(fetchGo(meansBy(`${url}/refuses,${url}`), release)).rejects.toThrow(`${url}/refuses${path}: 403`)
  expect(asked).toEqual([`/refuses${path}`])
  expect(await fetchGo(meansBy(`${url}/refuses|${url}`), release)).toMatch(/go\/bin\/go$/)
})

test('where nothing may be fetched it says so', async () => {
  const { release } = await startGoProxy('works')
  await expect(fetchGo(meansBy('off'), release)).rejects.toThrow('GOPROXY has no proxy to ask')
})

test('what is no proxy over HTTP is passed over', async () => {
  const { url, release } = await startGoProxy('works')
  expect(await fetchGo(meansBy(`file:///mirror,direct, ${url}`), release)).toMatch(/go\/bin\/go$/)
})

test('where an answer breaks off it is told of which proxy, and the next one is asked after a bar', async () => {
  const { url, path, release } = await startGoProxy('works')
  await expect(fetchGo(meansBy(`${url}/breaks-off`), release)).rejects.toThrow(`${url}/breaks-off${path}: TypeError`)
  expect(await fetchGo(meansBy(`${url}/breaks-off|${url}`), release)).toMatch(/go\/bin\/go$/)
})

test('a user and a password are for the proxy alone, and are in no message', async () => {
  const { url, path, release } = await startGoProxy('works')
  const as = (credentials: string) => `${url.replace('//', `//${credentials}@`)}/asks-who`
  const refused = fetchGo(meansBy(as('ci:another')), release)
  await expect(refused).rejects.toThrow(new Error(`${url}/asks-who${path}: 401`))
  expect(await fetchGo(meansBy(as('ci:p%40ss')), release)).toMatch(/go\/bin\/go$/)
})
