/** A metric with its samples, as Prometheus knows them. */
export type Metric = {
  name: string
  type: 'counter' | 'gauge' | 'summary'
  help: string
  samples: readonly Sample[]
}

export type Sample = { suffix?: '_sum' | '_count'; labels?: Record<string, string>; value: number }

/** The text format of Prometheus, version 0.0.4. A metric without a sample is left out. */
export const prometheusText = (metrics: readonly Metric[]): string =>
  metrics
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, type, help, samples }) =>
      [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...samples.map(({ suffix = '', labels = {}, value }) => `${name}${suffix}${labelText(labels)} ${value}`),
      ].join('\n'),
    )
    .join('\n')
    .concat('\n')

const labelText = (labels: Record<string, string>): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escaped = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
