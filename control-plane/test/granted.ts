import type { PolicyRule } from '@esteira/test/cluster'

/** What the control plane may do in its namespace. The tests of the chart compare its Role with it. */
export const granted = (anchor: string): PolicyRule[] => [
  { apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'] },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: [anchor], verbs: ['get'] },
]
