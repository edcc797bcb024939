import { isTraced } from '@esteira/service/trace'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('@esteira/database-query')

/** What of a statement its span tells: the text, which never contains data, and never the values. */
type Told = { connection: string; sql: string }

/**
 * Runs a statement within its span, by the conventions for database clients (1.45.0). Of an error the span has what
 * Postgres numbers it by: messages may quote values.
 */
export const inStatementSpan = <Result extends { rows: unknown[] }>(
  { connection, sql }: Told,
  run: () => Promise<Result>,
): Promise<Result> => {
  if (!isTraced()) return run()
  const operation = /^\s*(\w+)/.exec(sql)?.[1]?.toUpperCase() ?? 'SQL'
  const attributes = {
    'db.system.name': 'postgresql',
    'db.operation.name': operation,
    'db.query.text': sql,
    'esteira.connection': connection,
  }
  return tracer.startActiveSpan(operation, { kind: SpanKind.CLIENT, attributes }, async (span) => {
    try {
      const result = await run()
      span.setAttribute('db.response.returned_rows', result.rows.length)
      return result
    } catch (error) {
      const code = codeOf(error)
      span.setAttributes({
        'error.type': code ?? '_OTHER',
        ...(code === undefined ? {} : { 'db.response.status_code': code }),
      })
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
