import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readSecrets } from './read-secrets.ts'

const setup = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'secrets-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const variables = new Map([
    ['crm_token', 'of the variable'],
    ['folder', 'beside the folder'],
  ])
  return { directory, secrets: readSecrets({ directory, variables }) }
}

test('a secret is the file of its name, else the variable, and a replaced file holds at once', async () => {
  const { directory, secrets } = await setup()
  expect(await secrets('crm-token')).toBe('of the variable')
  await writeFile(join(directory, 'crm-token'), 'of the file\n')
  expect(await secrets('crm-token')).toBe('of the file')
  await writeFile(join(directory, 'crm-token'), 'two\nlines\n\n')
  expect(await secrets('crm-token')).toBe('two\nlines\n')
  await mkdir(join(directory, 'folder'))
  expect(await secrets('folder')).toBe('beside the folder')
})

test('one that is not there, or is empty, is told with its name and where it was looked for', async () => {
  const { directory, secrets } = await setup()
  const places = `it was looked for in the file ${directory}/erp.key and in the variable ESTEIRA_SECRET_ERP_KEY of the worker`
  await expect(secrets('erp.key')).rejects.toMatchObject({
    code: 'secret_missing',
    final: true,
    message: `secret "erp.key" is not there: ${places}`,
  })
  await writeFile(join(directory, 'erp.key'), '\n')
  await expect(secrets('erp.key')).rejects.toThrow(`secret "erp.key" is empty: ${places}`)
})
