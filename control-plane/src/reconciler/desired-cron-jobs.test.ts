import { expect, test } from 'vitest'
import { cronStep } from '../../test/cron-step.ts'
import { podTemplate } from '../../test/pod-template.ts'
import { createDesire } from './desired-cron-jobs.ts'

const mould = { anchor: 'esteira-anchor', database: 'this', template: podTemplate }
const noName = () => null

test('a name that was given once is kept, whatever the workflow is called now', () => {
  const desire = createDesire(mould)
  const step = cronStep({ workflowName: 'contacts' })
  const { desired } = desire([step], () => 'leads-every-hour-1')
  expect(desired[0]?.manifest.metadata.name).toBe('leads-every-hour-1')
  expect(JSON.stringify(desired[0]?.manifest.spec)).toContain('"ESTEIRA_LANE","value":"leads-every-hour-1"')
})

test('a step that has no CronJob yet gets a name of its own', () => {
  const { desired } = createDesire(mould)([cronStep()], noName)
  expect(desired[0]?.manifest.metadata.name).toMatch(/^leads-every-hour-[0-9a-f]{12}$/)
})

test('a step whose config cannot be followed has none', () => {
  const broken = { ...cronStep({ stepId: 'b' }), config: null }
  const impossible = cronStep({ stepId: 'c', config: { schedule: '61 * * * *' } })
  const { desired, unreadable } = createDesire(mould)([cronStep(), broken, impossible], noName)
  expect(desired.map(({ step }) => step.stepId)).toEqual([cronStep().stepId])
  expect(unreadable.map(({ stepId }) => stepId)).toEqual(['b', 'c'])
})

test('what nothing changed of is not made again', () => {
  const desire = createDesire(mould)
  const [first] = desire([cronStep()], noName).desired
  expect(desire([cronStep()], noName).desired[0]).toBe(first)
  expect(desire([cronStep({ enabled: false })], noName).desired[0]).not.toBe(first)
  expect(desire([], noName).desired).toEqual([])
})
