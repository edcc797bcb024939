type Shape = {
  type: string
  properties?: Record<string, Shape>
  items?: Shape
  additionalProperties?: Shape
  required?: string[]
}

const text: Shape = { type: 'string' }
const whole: Shape = { type: 'integer' }
const object = (properties: Record<string, Shape>, ...required: string[]): Shape => ({
  type: 'object',
  properties,
  ...(required.length === 0 ? {} : { required }),
})
const list = (items: Shape): Shape => ({ type: 'array', items })
const texts: Shape = { type: 'object', additionalProperties: text }

/** A kind of somebody else's operator, with those of its fields that the charts use: any other is refused. */
const kind = (group: string, version: string, name: string, spec: Shape) => {
  const plural = `${name.toLowerCase()}s`
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind: name, plural, singular: name.toLowerCase(), listKind: `${name}List` },
      scope: 'Namespaced',
      versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: object({ spec }, 'spec') } }],
    },
  }
}

/** Stand-ins for what KEDA and the operator of Prometheus bring to a cluster, as their definitions name the fields. */
export const foreignKinds = [
  kind(
    'keda.sh',
    'v1alpha1',
    'ScaledObject',
    object(
      {
        scaleTargetRef: object({ name: text }, 'name'),
        minReplicaCount: whole,
        maxReplicaCount: whole,
        pollingInterval: whole,
        cooldownPeriod: whole,
        initialCooldownPeriod: whole,
        triggers: list(
          object(
            { type: text, metadata: texts, authenticationRef: object({ name: text }, 'name') },
            'type',
            'metadata',
          ),
        ),
      },
      'scaleTargetRef',
      'triggers',
    ),
  ),
  kind(
    'keda.sh',
    'v1alpha1',
    'TriggerAuthentication',
    object({ secretTargetRef: list(object({ parameter: text, name: text, key: text }, 'parameter', 'name', 'key')) }),
  ),
  kind(
    'monitoring.coreos.com',
    'v1',
    'PodMonitor',
    object(
      {
        selector: object({
          matchLabels: texts,
          matchExpressions: list(object({ key: text, operator: text, values: list(text) }, 'key', 'operator')),
        }),
        podTargetLabels: list(text),
        podMetricsEndpoints: list(object({ port: text, path: text, interval: text })),
      },
      'selector',
    ),
  ),
]
