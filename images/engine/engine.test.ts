import { expect, test } from 'vitest'
import { repositoryOf } from './engine.ts'

const digest = `sha256:${'0a'.repeat(32)}`

test.each([
  ['gcr.io/distroless/nodejs24-debian12:nonroot', 'gcr.io/distroless/nodejs24-debian12'],
  [`gcr.io/distroless/nodejs24-debian12:nonroot@${digest}`, 'gcr.io/distroless/nodejs24-debian12'],
  [`localhost:5000/base@${digest}`, 'localhost:5000/base'],
  ['localhost:5000/base', 'localhost:5000/base'],
  ['node', 'node'],
])('the repository of %s is %s', (image, repository) => {
  expect(repositoryOf(image)).toBe(repository)
})
