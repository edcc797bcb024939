import { pino } from 'pino'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const

/** One line of JSON an event on stdout: constant text, variables as fields, never a payload or a secret. */
export type Log = {
  [Level in (typeof logLevels)[number]]: (fields: { event: string } & Record<string, unknown>) => void
}

/** A logger that names its process in every line. An `Error` in a field `err` is written with its stack and causes. */
export const createLog = (name: string, level: (typeof logLevels)[number] = 'info'): Log => {
  const logger = pino({
    name,
    level,
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  })
  return {
    debug: (fields) => logger.debug(fields),
    info: (fields) => logger.info(fields),
    warn: (fields) => logger.warn(fields),
    error: (fields) => logger.error(fields),
  }
}
