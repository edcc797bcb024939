/** What the objects of the cluster that are ours are known by, and what they say of themselves. */
export const fieldManager = 'esteira-control-plane'

export const labels = {
  manager: 'app.kubernetes.io/managed-by',
  /** The object that all of them hang on; two releases in one namespace have two. */
  anchor: 'esteira.dev/anchor',
  step: 'esteira.dev/step',
  /** The database whose step it is: a release that is given another one leaves it alone. */
  database: 'esteira.dev/database',
}

export const annotations = {
  hash: 'esteira.dev/spec-hash',
  since: 'esteira.dev/schedule-since',
  workflow: 'esteira.dev/workflow',
  stepName: 'esteira.dev/step-name',
}

const manager = 'esteira'

/** The labels by which objects are ours. */
export const ownLabels = (anchor: string): Record<string, string> => ({
  [labels.manager]: manager,
  [labels.anchor]: anchor,
})

/** Selects what is ours, as the API server takes it. */
export const ownSelector = (anchor: string): string =>
  Object.entries(ownLabels(anchor))
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
