export { reasonOf, untilAvailable } from './availability.ts'
export { type Config, ConfigError, loadConfig, loadConfigs, type Settings } from './config/load-config.ts'
export {
  connections,
  httpOrigins,
  httpUrl,
  instant,
  integer,
  laneName,
  oneOf,
  postgresUrl,
  rabbitmqUrl,
  secretVariables,
  serviceUrl,
  text,
  token,
  uuid,
  withoutPassword,
  type Setting,
} from './config/values.ts'
export { connectionPrefix, secretPrefix, variables, type VariableName } from './config/variables.ts'
export { createLog, logLevels, type Log } from './log.ts'
export { didYouMean } from './nearest.ts'
export { parseJson } from './parse-json.ts'
export { type Health, serveHealth } from './serve-health.ts'
export { type Metric, prometheusText } from './prometheus-text.ts'
export { exitCodes, runMain, type Running } from './run-main.ts'
export type { TraceSettings } from './trace/start-tracing.ts'
export { tracesAsked } from './trace/traces-asked.ts'
export { unlessAborted } from './unless-aborted.ts'
