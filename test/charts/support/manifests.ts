import { parseAllDocuments } from 'yaml'
import * as z from 'zod'

const texts = z.record(z.string(), z.string())

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  labels: texts.default({}),
  annotations: texts.default({}),
})

const manifest = z.looseObject({ apiVersion: z.string(), kind: z.string(), metadata })

/** An object as it would be sent to Kubernetes. What is in it beside its name is for a test to parse. */
export type Manifest = z.output<typeof manifest>

/** The objects in what helm printed. */
export const readManifests = (text: string): Manifest[] =>
  parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const content: unknown = document.toJS()
    return content === null ? [] : [manifest.parse(content)]
  })

const variable = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({
      secretKeyRef: z.strictObject({ name: z.string(), key: z.string() }).optional(),
      fieldRef: z.strictObject({ fieldPath: z.string() }).optional(),
    })
    .optional(),
})

export type Variable = z.output<typeof variable>

const probe = z.looseObject({ httpGet: z.strictObject({ path: z.string(), port: z.string() }) })

const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).default([]),
  command: z.array(z.string()).default([]),
  env: z.array(variable).default([]),
  ports: z.array(z.strictObject({ name: z.string().max(15), containerPort: z.int() })).default([]),
  restartPolicy: z.string().optional(),
  startupProbe: probe.optional(),
  readinessProbe: probe.optional(),
  livenessProbe: probe.optional(),
  lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.int() }) }) }).optional(),
  securityContext: z.looseObject({}).default({}),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
})

export type Container = z.output<typeof container>

const podTemplate = z.strictObject({
  metadata: z.strictObject({ labels: texts, annotations: texts.default({}) }),
  spec: z.looseObject({
    serviceAccountName: z.string().optional(),
    automountServiceAccountToken: z.boolean(),
    enableServiceLinks: z.boolean().optional(),
    terminationGracePeriodSeconds: z.int(),
    securityContext: z.looseObject({}).default({}),
    initContainers: z.array(container),
    containers: z.array(container),
    volumes: z.array(z.looseObject({ name: z.string() })).default([]),
    topologySpreadConstraints: z
      .array(z.looseObject({ topologyKey: z.string(), labelSelector: z.object({ matchLabels: texts }) }))
      .default([]),
  }),
})

/** A pod with its container and the relay, what the values have it start before these, and who makes such pods. */
export type Pod = {
  owner: string
  isJob: boolean
  template: z.output<typeof podTemplate>
  main: Container
  relay: Container
  before: Container[]
}

const withTemplate = z.object({ spec: z.object({ template: podTemplate }) })
const cronJob = z.object({ spec: z.object({ jobTemplate: withTemplate }) })
const configMap = z.object({ data: texts.default({}) })

/** The pods that objects lead to, those of ticks as well, whose template is in a ConfigMap. */
export const podsOf = (manifests: readonly Manifest[]): Pod[] =>
  manifests.flatMap((object): Pod[] => {
    const owner = `${object.kind} ${object.metadata.name}`
    switch (object.kind) {
      case 'Deployment':
      case 'StatefulSet':
        return [podOf(owner, false, withTemplate.parse(object).spec.template)]
      case 'Job':
        return [podOf(owner, true, withTemplate.parse(object).spec.template)]
      case 'CronJob':
        return [podOf(owner, true, cronJob.parse(object).spec.jobTemplate.spec.template)]
      case 'ConfigMap': {
        const { 'pod.json': text } = configMap.parse(object).data
        return text === undefined ? [] : [podOf(owner, true, podTemplate.parse(JSON.parse(text)))]
      }
      default:
        return []
    }
  })

const podOf = (owner: string, isJob: boolean, template: Pod['template']): Pod => {
  const before = template.spec.initContainers.slice(0, -1)
  const relay = template.spec.initContainers.at(-1)
  const [main, ...more] = template.spec.containers
  if (relay === undefined || main === undefined || more.length > 0) {
    throw new Error(`${owner} has not one container, and a sidecar before it`)
  }
  return { owner, isJob, template, main, relay, before }
}

/** The objects of a kind, parsed. */
export const objectsOf = <Schema extends z.ZodType<object>>(
  manifests: readonly Manifest[],
  kind: string,
  schema: Schema,
): (z.output<Schema> & { name: string })[] =>
  manifests
    .filter((object) => object.kind === kind)
    .map((object) => Object.assign(schema.parse(object), { name: object.metadata.name }))

/** A variable of a container, by its name. */
export const variableOf = (of: Container, name: string): Variable | undefined => of.env.find((one) => one.name === name)
