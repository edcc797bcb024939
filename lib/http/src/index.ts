export { classOf, type HttpClass } from './class-of.ts'
export {
  createHttp,
  type BeforeSent,
  type Http,
  type HttpAnswer,
  type HttpHeaders,
  type HttpOptions,
  type HttpOutcome,
  type HttpRequest,
} from './http.ts'
export { pause } from './pause.ts'
export { createRateLimit, type RateLimit, type RateLimitOptions, type Turn } from './rate-limit.ts'
export { retryAfterMs } from './retry-after.ts'
