import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { reasonOf } from '@esteira/service'
import { describeIssues } from '@esteira/workflow'
import * as z from 'zod'
import { ControlPlaneError } from '../errors.ts'

/** The two containers that a tick is made of: the program, and the relay beside it. */
export const programName = 'cron-job'
const relayName = 'outbox-relay'

const envVar = z.looseObject({ name: z.string().min(1) })
const container = z.looseObject({ name: z.string().min(1), env: z.array(envVar).default([]) })
const texts = z.record(z.string(), z.string())

/** What of a pod has to be known here. The API server checks the rest, and refuses what it does not know. */
const podTemplate = z
  .strictObject({
    metadata: z.looseObject({ labels: texts.default({}), annotations: texts.default({}) }).default({
      labels: {},
      annotations: {},
    }),
    spec: z.looseObject({
      containers: z.array(container),
      initContainers: z.array(container).default([]),
    }),
  })
  .superRefine(({ spec }, context) => {
    const fault = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message })
    const program = spec.containers.find(({ name }) => name === programName)
    if (program === undefined) fault(['spec', 'containers'], `must have a container "${programName}"`)
    else if (!program.env.some(({ name }) => name === 'ESTEIRA_TICK_KEY')) {
      fault(['spec', 'containers', spec.containers.indexOf(program), 'env'], 'must have ESTEIRA_TICK_KEY')
    }
    const relay = spec.initContainers.find(({ name }) => name === relayName)
    if (relay === undefined) fault(['spec', 'initContainers'], `must have a container "${relayName}"`)
    else if (relay.restartPolicy !== 'Always') {
      const path = ['spec', 'initContainers', spec.initContainers.indexOf(relay)]
      fault(path, 'must have the restartPolicy "Always": it runs beside the program, and ends after it')
    }
  })

/** The pod of a tick as it is given to the control plane, for all steps alike. */
export type PodTemplate = z.output<typeof podTemplate>

/** What differs from one step's pods to another's. */
export type PodOfStep = {
  stepId: string
  lane: string
  since: Date
  schedule: string
  timeZone: string
  labels: Record<string, string>
}

/** Where the template of cron pods lies, and the SHA-256 of the one that this control plane was rolled out with. */
export type PodTemplateFile = { file: string; sha256: string }

/**
 * Reads the template of cron pods, which the chart makes of the same pieces as the pods of workers. Null while the file has
 * that of another rollout: the ConfigMap reaches pods that run as well, and a new pod a while after it has started.
 *
 * @throws ControlPlaneError `pod_template_invalid` when the file is missing, or has the digest and is no such template.
 */
export const readPodTemplate = async ({ file, sha256 }: PodTemplateFile): Promise<PodTemplate | null> => {
  const about = `ESTEIRA_CRON_POD_TEMPLATE: ${file}`
  const found = await readFile(file).catch((cause: unknown) => {
    throw new ControlPlaneError('pod_template_invalid', `${about} cannot be read: ${reasonOf(cause)}`, { cause })
  })
  if (createHash('sha256').update(found).digest('hex') !== sha256) return null
  return parsePodTemplate(found.toString('utf8'), about)
}

/** @throws ControlPlaneError `pod_template_invalid` that says where the fault is. */
export const parsePodTemplate = (text: string, about: string): PodTemplate => {
  const json = jsonOf(text, about)
  const read = podTemplate.safeParse(json)
  if (read.success) return read.data
  const faults = describeIssues('pod', read.error.issues, json)
  throw new ControlPlaneError('pod_template_invalid', `${about}: ${faults}`)
}

const jsonOf = (text: string, about: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ControlPlaneError('pod_template_invalid', `${about} is not JSON`, { cause })
  }
}

/**
 * The pods of a step's ticks. Program and relay share the lane of the CronJob, so that lanes do not multiply with ticks. A
 * pod is never restarted in place: the Job makes another one, and tells which exits are final.
 */
export const podFor = ({ metadata, spec }: PodTemplate, of: PodOfStep): PodTemplate => {
  const { stepId, lane, since, schedule, timeZone, labels } = of
  const ofLane = { ESTEIRA_LANE: lane }
  // The schedule that it was fired by: when the tick runs, the step may have another one.
  const ofTick = {
    ESTEIRA_STEP_ID: stepId,
    ESTEIRA_TICK_SINCE: since.toISOString(),
    ESTEIRA_TICK_SCHEDULE: schedule,
    ESTEIRA_TICK_TIME_ZONE: timeZone,
    ...ofLane,
  }
  return {
    metadata: { ...metadata, labels: { ...metadata.labels, ...labels } },
    spec: {
      ...spec,
      restartPolicy: 'Never',
      containers: spec.containers.map((one) => (one.name === programName ? withEnv(one, ofTick) : one)),
      initContainers: spec.initContainers.map((one) => (one.name === relayName ? withEnv(one, ofLane) : one)),
    },
  }
}

/** Ours come last and in place of what has their names: a list with a name twice is refused. */
const withEnv = <Container extends { env: { name: string }[] }>(
  one: Container,
  values: Record<string, string>,
): Container => ({
  ...one,
  env: [
    ...one.env.filter(({ name }) => !Object.hasOwn(values, name)),
    ...Object.entries(values).map(([name, value]) => ({ name, value })),
  ],
})
