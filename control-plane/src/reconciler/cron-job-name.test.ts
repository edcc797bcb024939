import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cronJobName } from './cron-job-name.ts'

const id = '019a0000-0000-7000-8000-000000000001'

test('people read the workflow and the step in it', () => {
  expect(cronJobName('Leads of RD Station', 'every hour', id)).toMatch(/^leads-of-rd-station-every-hour-[0-9a-f]{12}$/)
  expect(cronJobName('Integração', 'à meia-noite', id)).toMatch(/^integracao-a-meia-noite-[0-9a-f]{12}$/)
})

test('names without a letter that Kubernetes knows are told apart all the same', () => {
  expect(cronJobName('線索', '每小時', id)).toMatch(/^cron-[0-9a-f]{12}$/)
  expect(cronJobName('線索', 'x', id)).toMatch(/^x-[0-9a-f]{12}$/)
})

test('of two long names each keeps its half, and of a long and a short one the short one is whole', () => {
  expect(cronJobName('w'.repeat(80), 's'.repeat(80), id)).toMatch(/^w{19}-s{19}-[0-9a-f]{12}$/)
  expect(cronJobName('w'.repeat(80), 'step', id)).toMatch(/^w{34}-step-[0-9a-f]{12}$/)
  expect(cronJobName('flow', 's'.repeat(80), id)).toMatch(/^flow-s{34}-[0-9a-f]{12}$/)
})

test('whatever the names, it is a name of Kubernetes and leaves room for that of a Job', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.string({ maxLength: 200 }), (workflow, step) => {
      const name = cronJobName(workflow, step, id)
      expect(name.length).toBeLessThanOrEqual(52)
      expect(name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
      expect(name).not.toContain('--')
    }),
  )
})

test('steps of the same name in workflows of the same beginning have names of their own', () => {
  const names = Array.from({ length: 5_000 }, () => cronJobName('a workflow', 'every hour', randomUUID()))
  expect(new Set(names).size).toBe(names.length)
})
