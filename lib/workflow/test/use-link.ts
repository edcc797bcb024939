import { type Proxy, startProxy } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll } from 'vitest'

/**
 * A link that the tests of a file may break, to the service whose address `addressOf` gives once the engine is there. It
 * is whole again after each test, before an engine that was asked for earlier looks for what is stuck.
 */
export const useLink = (addressOf: () => string): (() => Proxy) => {
  let link: Proxy | undefined
  beforeAll(async () => {
    link = await startProxy(addressOf())
  })
  afterEach(() => link?.resume())
  afterAll(() => link?.stop())
  return () => {
    if (link === undefined) throw new Error('the link is there once the tests of its file begin')
    return link
  }
}
