import { expect, test } from 'vitest'
import { cronStep } from '../../test/cron-step.ts'
import { podJson, podTemplate } from '../../test/pod-template.ts'
import { cronJobManifest } from './cron-job-manifest.ts'
import type { TickingStep } from './cron-job-state.ts'
import { parsePodTemplate } from './pod-template.ts'

const mould = { anchor: 'esteira-anchor', database: 'this', template: podTemplate }
const name = 'leads-every-hour-1'
const made = (step: TickingStep = cronStep()) => cronJobManifest(step, { name, mould })

test('it says whose it is, and of which step', () => {
  const { hash, manifest } = made()
  expect(manifest.metadata).toEqual({
    name,
    labels: {
      'app.kubernetes.io/component': 'cron-job',
      'app.kubernetes.io/managed-by': 'esteira',
      'esteira.dev/anchor': 'esteira-anchor',
      'esteira.dev/database': 'this',
      'esteira.dev/step': '019a0000-0000-7000-8000-000000000001',
    },
    annotations: {
      'esteira.dev/workflow': 'leads',
      'esteira.dev/step-name': 'every hour',
      'esteira.dev/schedule-since': '2026-03-10T09:00:00.000Z',
      'esteira.dev/spec-hash': hash,
    },
  })
})

test('CronJob and Job have the labels of the pods, and no label of a template passes for ours', () => {
  const labelled = { ...podJson, metadata: { labels: { team: 'leads', 'esteira.dev/anchor': 'another' } } }
  const template = parsePodTemplate(JSON.stringify(labelled), 'the test')
  const { manifest } = cronJobManifest(cronStep(), { name, mould: { ...mould, template } })
  const expected = { team: 'leads', 'esteira.dev/anchor': 'esteira-anchor' }
  expect(manifest.metadata.labels).toMatchObject(expected)
  expect(manifest.spec.jobTemplate.metadata?.labels).toEqual(manifest.metadata.labels)
  expect(manifest.spec.jobTemplate.spec?.template.metadata?.labels).toEqual(manifest.metadata.labels)
})

test('the schedule is the one of the step', () => {
  const config = { schedule: '*/5 8-18 * * 1-5', timeZone: 'America/Sao_Paulo', startingDeadlineSeconds: 60 }
  expect(made(cronStep({ config })).manifest.spec).toMatchObject({ ...config, suspend: false })
})

test.each([
  [true, false, false],
  [true, true, true],
  [false, false, true],
  [false, true, true],
])('enabled %s with suspend %s is suspended: %s', (enabled, suspend, suspended) => {
  expect(made(cronStep({ enabled, config: { suspend } })).manifest.spec.suspend).toBe(suspended)
})

test('exits that are final end the Job, an eviction does not count, and the rest is tried six times again', () => {
  const { jobTemplate } = made().manifest.spec
  expect(jobTemplate.spec).toMatchObject({
    backoffLimit: 6,
    podFailurePolicy: {
      rules: [
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
        {
          action: 'FailJob',
          onExitCodes: { containerName: 'cron-job', operator: 'In', values: [2, 11, 12, 13, 14, 15, 16] },
        },
      ],
    },
  })
})

test.each([
  [120, 3_600],
  [86_400, 86_400],
])('a tick that may be %s s late may wait %s s for a node or the database', (startingDeadlineSeconds, seconds) => {
  const { jobTemplate } = made(cronStep({ config: { startingDeadlineSeconds } })).manifest.spec
  expect(jobTemplate.spec?.activeDeadlineSeconds).toBe(seconds)
})

const others: [string, TickingStep][] = [
  ['schedule', cronStep({ config: { schedule: '1 * * * *' } })],
  ['zone', cronStep({ config: { timeZone: 'Europe/Lisbon' } })],
  ['deadline', cronStep({ config: { startingDeadlineSeconds: 10 } })],
  ['suspension', cronStep({ config: { suspend: true } })],
  ['workflow that is disabled', cronStep({ enabled: false })],
  ['name', cronStep({ name: 'hourly' })],
  ['workflow name', cronStep({ workflowName: 'contacts' })],
]

test.each(others)('another %s is another digest', (_, step) => {
  expect(made(step).hash).not.toBe(made().hash)
})

test('so is another image; a save that changes nothing of it and the overlap are not', () => {
  const text = JSON.stringify(podTemplate).replaceAll('esteira:1', 'esteira:2')
  const template = parsePodTemplate(text, 'the test')
  expect(cronJobManifest(cronStep(), { name, mould: { ...mould, template } }).hash).not.toBe(made().hash)
  expect(made(cronStep({ savedAt: new Date(), config: { overlap: 'skip' } })).hash).toBe(made().hash)
})
