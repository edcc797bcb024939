import { expect, test } from 'vitest'
import { readOptions } from './options.ts'

const read = (...words: string[]) => readOptions(words, { version: '0.1.0' })

test('without options the images have the version of this tree, on the base of the Dockerfile', () => {
  expect(read()).toEqual({
    ok: true,
    options: { prefix: 'localhost/', tag: '0.1.0', base: null, archives: null, epoch: 0 },
  })
})

test('every option can be given', () => {
  expect(read('--tag', 'x', '--prefix=r.example/t/', '--base', 'own', '--archives', 'out')).toEqual({
    ok: true,
    options: { prefix: 'r.example/t/', tag: 'x', base: 'own', archives: 'out', epoch: 0 },
  })
})

test('every problem is told at once', () => {
  expect(read('push', '--tga', 'x', '--base')).toEqual({
    ok: false,
    problems: [
      '"push" is not an option, options begin with --',
      '--tga is not an option, did you mean "--tag"?',
      '"x" is not an option, options begin with --',
      '--base needs a value',
    ],
  })
})

test('the time of a build is that of the environment, in whole seconds', () => {
  const at = (sourceDateEpoch: string) => readOptions([], { version: '0.1.0', sourceDateEpoch })
  expect(at('1767225600')).toMatchObject({ options: { epoch: 1_767_225_600 } })
  const problems = ['SOURCE_DATE_EPOCH: expected seconds since 1970, "yesterday" is not']
  expect(at('yesterday')).toEqual({ ok: false, problems })
})
