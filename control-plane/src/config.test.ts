import { ConfigError } from '@esteira/service'
import { expect, test } from 'vitest'
import { loadControlPlaneConfig } from './config.ts'

const env = { DATABASE_URL: 'postgres://u:p@localhost/x', ESTEIRA_ADMIN_TOKEN: 's'.repeat(32), ESTEIRA_CRON: 'off' }

const problemsOf = (given: NodeJS.ProcessEnv): readonly string[] => {
  try {
    loadControlPlaneConfig(given)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('what is not set has its default', () => {
  expect(loadControlPlaneConfig(env)).toMatchObject({
    lane: 'control-plane',
    httpHost: '127.0.0.1',
    httpPort: 8080,
    maxPayloadBytes: 1_048_576,
    consumerTimeoutMs: 1_800_000,
    logLevel: 'info',
    cron: { by: 'off' },
  })
})

test('who fires ticks is never chosen silently', () => {
  const { ESTEIRA_CRON: _, ...without } = env
  expect(problemsOf(without)).toEqual(['ESTEIRA_CRON (who fires the ticks of CronJob steps) is not set'])
  expect(problemsOf({ ...env, ESTEIRA_CRON: 'locale' })).toEqual([
    'ESTEIRA_CRON (who fires the ticks of CronJob steps): expected one of local, kubernetes, off, "locale" is not, did you mean "local"?',
  ])
})

test('a short token is refused', () => {
  expect(problemsOf({ ...env, ESTEIRA_ADMIN_TOKEN: 'secret' })).toEqual([
    expect.stringMatching(/^ESTEIRA_ADMIN_TOKEN .*at least 32 characters/),
  ])
})

test('the local scheduler needs its program and lane, and says so with all else that is missing', () => {
  expect(problemsOf({ ESTEIRA_CRON: 'local' }).map((problem) => problem.split(' ')[0])).toEqual([
    'DATABASE_URL',
    'ESTEIRA_ADMIN_TOKEN',
    'ESTEIRA_CRON_PROGRAM',
    'ESTEIRA_CRON_LANE',
  ])
  const local = { ...env, ESTEIRA_CRON: 'local', ESTEIRA_CRON_PROGRAM: '/x/main.ts', ESTEIRA_CRON_LANE: 'cron' }
  expect(loadControlPlaneConfig(local).cron).toEqual({ by: 'local', program: '/x/main.ts', lane: 'cron' })
})

const kubernetes = {
  ...env,
  ESTEIRA_CRON: 'kubernetes',
  ESTEIRA_CRON_POD_TEMPLATE: '/etc/esteira/cron/pod.json',
  ESTEIRA_CRON_POD_TEMPLATE_SHA256: '0'.repeat(64),
  ESTEIRA_CRON_ANCHOR: 'esteira-anchor',
}

test('Kubernetes needs the template of its pods and the anchor; the rest a pod knows by itself', () => {
  const {
    ESTEIRA_CRON_POD_TEMPLATE: _file,
    ESTEIRA_CRON_POD_TEMPLATE_SHA256: _digest,
    ESTEIRA_CRON_ANCHOR: _anchor,
    ...without
  } = kubernetes
  const inPod = { KUBERNETES_SERVICE_HOST: '10.0.0.1' }
  expect(problemsOf({ ...without, ...inPod }).map((problem) => problem.split(' ')[0])).toEqual([
    'ESTEIRA_CRON_POD_TEMPLATE',
    'ESTEIRA_CRON_POD_TEMPLATE_SHA256',
    'ESTEIRA_CRON_ANCHOR',
  ])
  expect(loadControlPlaneConfig({ ...kubernetes, ...inPod }).cron).toEqual({
    by: 'kubernetes',
    podTemplate: { file: '/etc/esteira/cron/pod.json', sha256: '0'.repeat(64) },
    anchor: 'esteira-anchor',
    namespace: null,
    kubeconfig: null,
  })
  const outside = { ESTEIRA_KUBECONFIG: '/root/.kube/config', ESTEIRA_CRON_NAMESPACE: 'flows' }
  expect(loadControlPlaneConfig({ ...kubernetes, ...outside }).cron).toMatchObject({
    namespace: 'flows',
    kubeconfig: '/root/.kube/config',
  })
})

test('outside of a pod a cluster is not guessed', () => {
  expect(problemsOf(kubernetes)).toEqual([
    'ESTEIRA_CRON is kubernetes, and this is no pod of a cluster: set ESTEIRA_KUBECONFIG',
  ])
})

test.each(['Anchor', 'a'.repeat(64), 'a_b', '-a'])('an anchor that can be no label, %s, is refused', (anchor) => {
  const given = { ...kubernetes, ESTEIRA_KUBECONFIG: '/x', ESTEIRA_CRON_ANCHOR: anchor }
  expect(problemsOf(given)).toEqual([expect.stringMatching(/^ESTEIRA_CRON_ANCHOR: .* at most 63 characters/)])
})

test('a digest that no template can have is refused', () => {
  const given = { ...kubernetes, ESTEIRA_KUBECONFIG: '/x', ESTEIRA_CRON_POD_TEMPLATE_SHA256: 'A'.repeat(64) }
  expect(problemsOf(given)).toEqual(['ESTEIRA_CRON_POD_TEMPLATE_SHA256: expected 64 hexadecimal digits in lowercase'])
})
