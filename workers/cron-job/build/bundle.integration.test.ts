import { bundleAlone, startOtlpReceiver } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { tick } from '../test/start-tick.ts'
import { database, jobsOf, manyItems, saveManyItems, saveWorkflow, useWorkflows } from '../test/use-workflows.ts'
import { bundleTick, smallTick } from './bundle.ts'

useWorkflows()

const program = bundleAlone(bundleTick)

const fired = { code: 0, said: expect.stringContaining('"event":"tick.fired"') }

test('the bundled tick needs nothing beside its files: it begins a run, sees one that is there, and says what is wrong', async () => {
  const config = { schedule: '* * * * *', payload: ['a', 'b'] }
  const { workflowId, stepId } = await saveWorkflow({ outputType: 'multiple', config })
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' }
  expect(await tick(env, [program()])).toMatchObject(fired)
  expect(await tick(env, [program()])).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.seen"') })
  expect(await jobsOf(workflowId)).toMatchObject([
    { name: 'tick', status: 'succeeded' },
    { name: 'next', status: 'queued', payload: 'a' },
    { name: 'next', status: 'queued', payload: 'b' },
  ])
  const unfit = await saveWorkflow({ config: { payload: 1 } })
  expect(await tick({ ...env, ESTEIRA_STEP_ID: unfit.stepId }, [program()])).toMatchObject({
    code: 15,
    said: expect.stringContaining('config.schedule: is missing, must be a string'),
  })
  const nowhere = new URL(database.url)
  nowhere.pathname = '/nowhere'
  expect(await tick({ ...env, DATABASE_URL: nowhere.href }, [program()])).toMatchObject({
    code: 1,
    said: expect.stringMatching(/"reason":"database \\"nowhere\\" does not exist".*"type":"DatabaseError"/),
  })
}, 60_000)

test('the bundled tick traces where it is asked to', async () => {
  const receiver = await startOtlpReceiver()
  onTestFinished(receiver.stop)
  const { stepId } = await saveWorkflow()
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', ...receiver.env }
  expect(await tick(env, [program()])).toMatchObject(fired)
  const created = receiver.spans().map(({ name, service }) => ({ name, service }))
  expect(created).toContainEqual({ name: 'create Test.next', service: 'esteira-cron-job' })
}, 60_000)

/** Has a program end with what it had in memory at most, in KiB, as the kernel knows it. */
const tellPeak = `
  const status = process.getBuiltinModule('fs').readFileSync('/proc/self/status', 'utf8')
  console.log(/^VmHWM:\\s+(\\d+) kB$/m.exec(status)[1])`
const tellingPeak = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`process.on('exit', () => { ${tellPeak} })`)}`,
}

test.runIf(process.platform === 'linux')(
  'the bundled tick has no more than 120 MiB, and with a hundred thousand items no more than 220',
  async () => {
    const command = [...smallTick, program()]
    const peakMiB = async (stepId: string): Promise<number> => {
      const { code, said } = await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', ...tellingPeak }, command)
      expect(code).toBe(0)
      return Number(said) / 1_024
    }
    const [one, many] = [await saveWorkflow(), await saveManyItems()]
    expect(await peakMiB(one.stepId)).toBeLessThan(120)
    expect(await peakMiB(many.stepId)).toBeLessThan(220)
    expect(await jobsOf(many.workflowId)).toHaveLength(manyItems + 1)
  },
  180_000,
)
