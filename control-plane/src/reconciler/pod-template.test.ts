import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { podJson, podTemplate } from '../../test/pod-template.ts'
import { parsePodTemplate, podFor, readPodTemplate } from './pod-template.ts'

const [program] = podJson.spec.containers
const [relay] = podJson.spec.initContainers

const refusalOf = (change: object, json: object = podJson): unknown => {
  try {
    return parsePodTemplate(JSON.stringify({ ...json, spec: { ...podJson.spec, ...change } }), 'pod.json')
  } catch (error) {
    return error
  }
}

test.each([
  ['no program', { containers: [] }, 'pod.spec.containers: must have a container "cron-job"'],
  [
    'a program that would not know its tick',
    { containers: [{ ...program, env: [] }] },
    'pod.spec.containers.0.env: must have ESTEIRA_TICK_KEY',
  ],
  ['no relay', { initContainers: [] }, 'pod.spec.initContainers: must have a container "outbox-relay"'],
  [
    'a relay that the program would wait for',
    { initContainers: [{ name: 'outbox-relay', image: 'x' }] },
    'pod.spec.initContainers.0: must have the restartPolicy "Always": it runs beside the program, and ends after it',
  ],
])('a template with %s is refused, and the place is told', (_, change, message) => {
  expect(refusalOf(change)).toMatchObject({ code: 'pod_template_invalid', message: `pod.json: ${message}` })
})

test('what is no template of a pod is refused', async () => {
  expect(() => parsePodTemplate('spec:', 'pod.json')).toThrow('pod.json is not JSON')
  expect(refusalOf({}, { kind: 'Pod' })).toMatchObject({ code: 'pod_template_invalid' })
  await expect(readPodTemplate({ file: '/nowhere/pod.json', sha256: '' })).rejects.toMatchObject({
    code: 'pod_template_invalid',
    message: expect.stringMatching(/^ESTEIRA_CRON_POD_TEMPLATE: \/nowhere\/pod.json cannot be read/),
  })
})

test('a file with the template of another rollout is left, whatever is in it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pod-template-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'pod.json')
  const own = JSON.stringify(podJson)
  const sha256 = createHash('sha256').update(own).digest('hex')
  for (const another of [own.replace('esteira:1', 'esteira:2'), 'spec:', '']) {
    writeFileSync(file, another)
    expect(await readPodTemplate({ file, sha256 })).toBeNull()
  }
  writeFileSync(file, own)
  expect(await readPodTemplate({ file, sha256 })).toEqual(podTemplate)
})

const ofStep = {
  stepId: 'step-a',
  lane: 'leads-every-hour-1',
  since: new Date('2026-03-10T09:00:00Z'),
  schedule: '30 1 * * *',
  timeZone: 'America/New_York',
  labels: { mine: 'yes' },
}

const pod = podFor(podTemplate, ofStep)

test('program and relay share the lane of the CronJob, and the program knows its step', () => {
  expect(pod.spec.containers[0]?.env.slice(-5)).toEqual([
    { name: 'ESTEIRA_STEP_ID', value: 'step-a' },
    { name: 'ESTEIRA_TICK_SINCE', value: '2026-03-10T09:00:00.000Z' },
    { name: 'ESTEIRA_TICK_SCHEDULE', value: '30 1 * * *' },
    { name: 'ESTEIRA_TICK_TIME_ZONE', value: 'America/New_York' },
    { name: 'ESTEIRA_LANE', value: 'leads-every-hour-1' },
  ])
  expect(pod.spec.initContainers[0]?.env).toEqual([{ name: 'ESTEIRA_LANE', value: 'leads-every-hour-1' }])
})

test('the rest of the pod stays as it was given, and it is never restarted in place', () => {
  expect(pod.metadata.labels).toEqual({ ...podJson.metadata.labels, mine: 'yes' })
  expect(pod.spec).toMatchObject({ serviceAccountName: 'esteira-cron-job', restartPolicy: 'Never' })
  expect(pod.spec.containers[0]?.env.slice(0, 4)).toEqual(program?.env)
  expect(pod.spec.initContainers[0]).toMatchObject({ image: relay?.image, restartPolicy: 'Always' })
})

test('other containers beside them are left alone', () => {
  const proxy = { name: 'sql-proxy', image: 'proxy', restartPolicy: 'Always', env: [{ name: 'A', value: 'b' }] }
  const spec = { ...podJson.spec, initContainers: [proxy, ...podJson.spec.initContainers] }
  const template = parsePodTemplate(JSON.stringify({ spec }), 'pod.json')
  const made = podFor(template, { ...ofStep, labels: {} })
  expect(made.spec.initContainers[0]).toEqual(proxy)
})
