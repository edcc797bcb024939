import { isTraced } from '@esteira/service/trace'
import { type Context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('@esteira/database-query')

/** What of a statement its span tells: the text, which never contains data, and never the values. */
type Told = { connection: string; sql: string }

/** How a statement ended: with how many rows, or with what was thrown. */
type Ended = { rows: number } | { error: unknown }

/**
 * Begins the span of a statement, by the conventions for database clients (1.45.0), at its job's place in a trace; gives
 * what ends it. Of an error the span has what Postgres numbers it by: messages may quote values.
 */
export const openStatementSpan = ({ connection, sql }: Told, place: Context): ((ended: Ended) => void) => {
  if (!isTraced()) return untraced
  const operation = /^\s*(\w+)/.exec(sql)?.[1]?.toUpperCase() ?? 'SQL'
  const attributes = {
    'db.system.name': 'postgresql',
    'db.operation.name': operation,
    'db.query.text': sql,
    'esteira.connection': connection,
  }
  const span = tracer.startSpan(operation, { kind: SpanKind.CLIENT, attributes }, place)
  return (ended) => {
    if ('rows' in ended) span.setAttribute('db.response.returned_rows', ended.rows)
    else {
      const code = codeOf(ended.error)
      span.setAttributes({
        'error.type': code ?? '_OTHER',
        ...(code === undefined ? {} : { 'db.response.status_code': code }),
      })
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    span.end()
  }
}

const untraced = (): void => {}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
