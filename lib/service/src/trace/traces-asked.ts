/** Whether the standard variables of OpenTelemetry ask for traces: an exporter or an address, and nothing against it. */
export const tracesAsked = (env: NodeJS.ProcessEnv): boolean => {
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true') return false
  const exporters = exportersIn(env)
  if (exporters.includes('none')) return false
  const addresses = [env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, env.OTEL_EXPORTER_OTLP_ENDPOINT]
  return exporters.length > 0 || addresses.some((address = '') => address.trim() !== '')
}

/** The exporters that `OTEL_TRACES_EXPORTER` names. */
export const exportersIn = ({ OTEL_TRACES_EXPORTER = '' }: NodeJS.ProcessEnv): string[] =>
  OTEL_TRACES_EXPORTER.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
