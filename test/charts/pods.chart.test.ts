import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Release, withRelease } from './support/helm.ts'
import { type Container, type Pod, podsOf, variableOf } from './support/manifests.ts'
import { least, matrix, render } from './support/render.ts'

const releases: readonly (Release & { title: string })[] = [...matrix, { title: 'the shop', chart: 'examples/shop' }]

const podsOfRelease = async (release: Release): Promise<Pod[]> => {
  const pods = podsOf(await render(release))
  expect(pods.length).toBeGreaterThan(0)
  return pods
}

const containersOf = ({ main, relay, before }: Pod): Container[] => [...before, relay, main]

test.each(releases)('helm lint has nothing to say about $title', async ({ name: _name, title: _title, ...release }) => {
  const said = await withRelease(['lint', '--strict', '--quiet'], release)
  expect(said).toEqual({ ok: true, stdout: '' })
})

test.each(releases)(
  'the relay is a native sidecar of every pod, the last before its container: $title',
  async (release) => {
    for (const { relay, before } of await podsOfRelease(release)) {
      expect(relay).toMatchObject({ name: 'outbox-relay', restartPolicy: 'Always' })
      expect(before.map(({ name }) => name)).toEqual(release.title === 'everything' ? ['postgres-proxy'] : [])
    }
  },
)

test.each(releases)('a relay is waited for, and probed whether RabbitMQ is there or not: $title', async (release) => {
  for (const { relay, owner } of await podsOfRelease(release)) {
    const port = relay.ports.find(({ name }) => name === 'relay-health')?.containerPort
    expect(variableOf(relay, 'ESTEIRA_HEALTH_PORT')?.value).toBe(String(port))
    // What /readyz of a relay asks is the business of its own tests: Postgres alone.
    const at = (path: string) => ({ path, port: 'relay-health' })
    expect(relay.startupProbe?.httpGet, owner).toEqual(at('/healthz'))
    expect(relay.livenessProbe?.httpGet, owner).toEqual(at('/healthz'))
    // Of a tick nobody asks whether it is ready.
    const isTick = owner.startsWith('ConfigMap')
    expect(relay.readinessProbe?.httpGet, owner).toEqual(isTick ? undefined : at('/readyz'))
  }
})

test.each(releases)(
  'the main container and its relay have time to end, one after the other: $title',
  async (release) => {
    for (const { main, relay, template, isJob } of await podsOfRelease(release)) {
      const seconds = (of: Container): number =>
        Number(variableOf(of, 'ESTEIRA_GRACE_MS')?.value ?? (isJob ? 25_000 : 30_000)) / 1_000
      const pause = main.lifecycle?.preStop.sleep.seconds ?? 0
      expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(
        pause + seconds(main) + seconds(relay) + 5,
      )
    }
  },
)

test.each(releases)(
  'no pod runs as root, writes to its root or may become more than it is: $title',
  async (release) => {
    for (const pod of await podsOfRelease(release)) {
      for (const container of containersOf(pod)) {
        expect({ ...pod.template.spec.securityContext, ...container.securityContext }).toMatchObject({
          runAsNonRoot: true,
          runAsUser: 65_532,
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        })
      }
    }
  },
)

test.each(releases)('every container says what it needs, and how much memory it may take: $title', async (release) => {
  const quantity = z.string().regex(/^\d+(m|Mi|Gi)?$/)
  const resources = z.object({
    requests: z.object({ cpu: quantity, memory: quantity }),
    limits: z.object({ memory: quantity }),
  })
  for (const { main, relay, owner } of await podsOfRelease(release)) {
    expect(resources.safeParse(relay['resources']).error, owner).toBeUndefined()
    // The shop is no part of this.
    if (release.chart === undefined) expect(resources.safeParse(main['resources']).error, owner).toBeUndefined()
  }
})

test.each(releases)('secrets are references, and no text has the address of a service: $title', async (release) => {
  const text = JSON.stringify(await render(release))
  expect(text).not.toMatch(/(postgres(ql)?|amqps?):\/\//)
  const secret =
    /^(DATABASE_URL|RABBITMQ_URL|ESTEIRA_ADMIN_TOKEN|RDSTATION_(CLIENT|REFRESH).*|ESTEIRA_(CONNECTION|SECRET)_.*|.*HEADERS)$/
  for (const pod of await podsOfRelease(release)) {
    for (const { env } of containersOf(pod)) {
      for (const { name, valueFrom } of env.filter((one) => secret.test(one.name))) {
        expect(valueFrom?.secretKeyRef, name).toBeDefined()
      }
    }
  }
})

test.each(releases)('what a pod writes to its lane the relay beside it carries: $title', async (release) => {
  for (const { main, relay, owner } of await podsOfRelease(release)) {
    const lane = variableOf(relay, 'ESTEIRA_LANE')
    expect(variableOf(main, 'ESTEIRA_LANE'), owner).toEqual(lane)
    // Whoever makes a pod of a tick adds it to both.
    if (owner.startsWith('ConfigMap')) expect(lane).toBeUndefined()
    else expect(lane?.value ?? lane?.valueFrom?.fieldRef?.fieldPath).toMatch(/^metadata\.name$|-report$/)
  }
})

test.each(matrix)(
  'only the control plane’s container has a token for Kubernetes, and no pod variables of Services: $title',
  async (release) => {
    for (const { template, main, relay, owner } of await podsOfRelease(release)) {
      expect(template.spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false })
      const mounts = (of: Container) => of.volumeMounts.filter(({ name }) => name === 'api-access')
      const mayUse = owner.endsWith('-control-plane') && variableOf(main, 'ESTEIRA_CRON')?.value === 'kubernetes'
      expect(mounts(main), owner).toHaveLength(mayUse ? 1 : 0)
      expect(mounts(relay), owner).toEqual([])
    }
  },
)

test.each(releases)('ports and variables have names of their own, and mounts have volumes: $title', async (release) => {
  for (const pod of await podsOfRelease(release)) {
    const ports = containersOf(pod).flatMap((container) => container.ports)
    expect(new Set(ports.map(({ name }) => name)).size).toBe(ports.length)
    expect(new Set(ports.map(({ containerPort }) => containerPort)).size).toBe(ports.length)
    const volumes = pod.template.spec.volumes.map(({ name }) => name)
    for (const { env, volumeMounts } of containersOf(pod)) {
      expect(new Set(env.map(({ name }) => name)).size).toBe(env.length)
      expect(volumes).toEqual(expect.arrayContaining(volumeMounts.map(({ name }) => name)))
    }
  }
})

test('a value of a worker that is null is taken away, as Helm does it elsewhere, and none is null', async () => {
  const values = {
    workers: {
      'database-query': {
        resources: { limits: { memory: null }, requests: { cpu: null } },
        pods: { podSecurityContext: { runAsUser: null } },
      },
    },
  }
  const pod = podsOf(await render({ files: [least], values })).find(({ owner }) => owner.endsWith('-query'))
  const { main, template } = pod ?? expect.fail()
  expect(main).toMatchObject({ resources: { requests: { memory: '256Mi' } } })
  expect(template.spec.securityContext).toMatchObject({ runAsNonRoot: true })
  expect(JSON.stringify(template)).not.toContain('null')
})

test('the user may be left to the cluster, which then gives one of a range of its own', async () => {
  const none = { runAsUser: null, runAsGroup: null }
  const values = { pods: { podSecurityContext: none }, 'outbox-relay': { securityContext: none } }
  const manifests = await render({ files: [least], values })
  expect(JSON.stringify(podsOf(manifests).map(({ template }) => template))).not.toMatch(/runAsUser|runAsGroup/)
  for (const { template, relay } of podsOf(manifests)) {
    expect(template.spec.securityContext).toMatchObject({ runAsNonRoot: true })
    expect(relay.securityContext).toMatchObject({ runAsNonRoot: true })
  }
})
