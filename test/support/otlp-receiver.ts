import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import * as z from 'zod'

/** A span as a receiver of OpenTelemetry gets it. `parent` is null for a root. */
export type ReceivedSpan = {
  service: string
  scope: string
  name: string
  kind: number
  traceId: string
  spanId: string
  parent: string | null
  attributes: Record<string, unknown>
  links: { traceId: string; spanId: string }[]
  status: { code?: number | undefined; message?: string | undefined }
}

export type OtlpReceiver = {
  url: string
  /** What processes need in their environment to send their spans here. */
  env: Record<string, string>
  spans: () => ReceivedSpan[]
  /** All that came, as it came, to be searched. */
  text: () => string
  stop: () => Promise<void>
}

/** A receiver of spans by OTLP over HTTP, in JSON, which keeps what it gets. */
export const startOtlpReceiver = async (): Promise<OtlpReceiver> => {
  const spans: ReceivedSpan[] = []
  const bodies: unknown[] = []
  const keep = async (request: IncomingMessage): Promise<void> => {
    const body = await json(request)
    bodies.push(body)
    spans.push(...spansIn(body))
  }
  const server = createServer((request, response) => {
    keep(request).then(
      () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
      (error: unknown) => response.writeHead(400).end(String(error)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the receiver has no port')
  const url = `http://127.0.0.1:${address.port}`
  return {
    url,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    },
    spans: () => [...spans],
    text: () => JSON.stringify(bodies),
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const spansIn = (body: unknown): ReceivedSpan[] =>
  exportSchema.parse(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map(({ parentSpanId, ...span }) => ({
        ...span,
        service: String(resource.attributes['service.name']),
        scope: scope.name,
        parent: parentSpanId === undefined || parentSpanId === '' ? null : parentSpanId,
      })),
    ),
  )

const valueSchema: z.ZodType = z
  .looseObject({ arrayValue: z.object({ values: z.array(z.unknown()) }).optional() })
  .transform(({ arrayValue, ...value }) =>
    arrayValue === undefined ? Object.values(value)[0] : arrayValue.values.map((item) => valueSchema.parse(item)),
  )

const attributesSchema = z
  .array(z.object({ key: z.string(), value: valueSchema }))
  .default([])
  .transform((pairs) => Object.fromEntries(pairs.map(({ key, value }) => [key, value])))

const placeSchema = z.object({ traceId: z.string(), spanId: z.string() })

const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(
        z.object({
          scope: z.object({ name: z.string() }),
          spans: z.array(
            placeSchema.extend({
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.number(),
              attributes: attributesSchema,
              links: z.array(placeSchema).default([]),
              status: z.object({ code: z.number().optional(), message: z.string().optional() }).default({}),
            }),
          ),
        }),
      ),
    }),
  ),
})
