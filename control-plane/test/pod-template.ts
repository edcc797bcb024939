import { parsePodTemplate } from '../src/reconciler/pod-template.ts'

/** The pod of a tick as the chart makes it, as short as it may be. */
export const podJson = {
  metadata: { labels: { 'app.kubernetes.io/component': 'cron-job' } },
  spec: {
    serviceAccountName: 'esteira-cron-job',
    terminationGracePeriodSeconds: 40,
    containers: [
      {
        name: 'cron-job',
        image: 'localhost/esteira:1',
        env: [
          {
            name: 'JOB_NAME',
            valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-name']" } },
          },
          { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
          { name: 'ESTEIRA_TICK_KEY', value: '$(POD_NAMESPACE)/$(JOB_NAME)' },
          { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: 'postgres', key: 'uri' } } },
        ],
      },
    ],
    initContainers: [
      {
        name: 'outbox-relay',
        image: 'localhost/esteira-relay:1',
        restartPolicy: 'Always',
        env: [{ name: 'ESTEIRA_LANE', value: 'replaced' }],
      },
    ],
  },
}

export const podTemplate = parsePodTemplate(JSON.stringify(podJson), 'the test')
