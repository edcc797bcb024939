import { expect, test } from 'vitest'
import { trustOf } from './origins.ts'

const isTrusted = trustOf(['https://api.rd.services', 'http://sandbox.example:8080/behind/a/path'])

test.each([
  'https://api.rd.services',
  'https://API.rd.services:443/some/path?query',
  'https://anybody@api.rd.services',
  'http://sandbox.example:8080',
  'http://localhost:4010',
  'http://127.0.0.1',
  'https://127.1:8443/',
  'http://2130706433/',
  'http://[::1]:4010',
])('%s is trusted', (url) => {
  expect(isTrusted(url)).toBe(true)
})

test.each([
  'http://api.rd.services',
  'https://api.rd.services:8443',
  'https://api.rd.services.example',
  'https://example/api.rd.services',
  'https://api.rd.services@example',
  'https://api.rd.services:443@example',
  'https://example#@api.rd.services',
  'https://example\\@api.rd.services',
  'http://sandbox.example',
  'http://127.0.0.1.example',
  'http://localhost.example',
  'http://notlocalhost',
  'http://128.0.0.1',
  'http://[::ffff:127.0.0.1]',
  'http://0.0.0.0',
  'http://169.254.169.254',
])('%s is not', (url) => {
  expect(isTrusted(url)).toBe(false)
})
