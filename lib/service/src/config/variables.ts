/**
 * Every environment variable that a process of Esteira reads, with what it holds. One list for all processes, so that a
 * misspelt name is told apart from one that is meant for a neighbour.
 */
export const variables = {
  DATABASE_URL: 'Postgres that holds workflows, jobs and the outbox',
  RABBITMQ_URL: 'RabbitMQ, with the virtual host as the path',
  ESTEIRA_LANE: 'outbox lane that this process writes to or relays',
  ESTEIRA_SECRETS_DIR: 'folder with the secrets that configs name, a file each',
  ESTEIRA_LOG_LEVEL: 'least level that is logged',
  ESTEIRA_PREFETCH: 'deliveries that a worker holds at a time',
  ESTEIRA_MAX_PAYLOAD_BYTES: 'most bytes of a payload or an output as JSON',
  ESTEIRA_CONSUMER_TIMEOUT_MS: 'how long RabbitMQ leaves a message with a worker',
  ESTEIRA_LEDGER_DAYS: 'how long Database.query keeps in its ledgers what was applied',
  ESTEIRA_STALL_MS: 'how long a function may keep the event loop of its worker before the process is killed',
  ESTEIRA_SUSPECT_HEAP_MIB: 'heap of the process in which jobs run that may have killed their worker',
  ESTEIRA_GRACE_MS: 'how long running work may take to end after SIGTERM',
  ESTEIRA_RDSTATION_ORIGINS: 'where the credentials of RD Station may go besides RDSTATION_BASE_URL',
  ESTEIRA_RELAY_POLL_MS: 'how often a relay looks without being rung',
  ESTEIRA_RELAY_WINDOW: 'messages that a relay has in flight at a time',
  ESTEIRA_RELAY_RETRY_MS: 'how long a relay waits before it tries a refused message again, doubled each time',
  ESTEIRA_RELAY_RETRY_CAP_MS: 'the longest that a relay waits before it tries a refused message again',
  ESTEIRA_RELAY_PARK_AFTER: 'how often the broker may refuse a message before a relay parks it',
  ESTEIRA_RELAY_CONFIRM_DEADLINE_MS: 'how long a relay awaits a confirm before it replaces the channel',
  ESTEIRA_RELAY_BROKER_DEADLINE_MS: 'how long a relay keeps its lanes while RabbitMQ is gone',
  ESTEIRA_RELAY_ADOPT: 'whether a relay carries lanes as well that have no relay',
  ESTEIRA_HEALTH_HOST: 'address that /healthz, /readyz and /metrics are served on',
  ESTEIRA_HEALTH_PORT: 'port that /healthz, /readyz and /metrics are served on',
  ESTEIRA_HTTP_HOST: 'address that the control plane listens on',
  ESTEIRA_HTTP_PORT: 'port that the control plane listens on',
  ESTEIRA_ADMIN_TOKEN: 'bearer token of the API',
  ESTEIRA_CRON: 'who fires the ticks of CronJob steps',
  ESTEIRA_CRON_PROGRAM: 'path of the cron-job program that the local scheduler starts',
  ESTEIRA_CRON_LANE: 'outbox lane of the cron-job program that the local scheduler starts',
  ESTEIRA_CRON_POD_TEMPLATE: 'file with the pod of a tick, for the CronJobs of Kubernetes',
  ESTEIRA_CRON_POD_TEMPLATE_SHA256: 'digest of that file as this control plane was rolled out with it',
  ESTEIRA_CRON_ANCHOR: 'ConfigMap that the CronJobs of Kubernetes hang on',
  ESTEIRA_CRON_NAMESPACE: 'namespace of the CronJobs of Kubernetes',
  ESTEIRA_KUBECONFIG: 'kubeconfig of the cluster, outside of a pod',
  ESTEIRA_STEP_ID: 'id of the CronJob step whose tick this is',
  ESTEIRA_TICK_KEY: 'key of the tick; the same key never starts a second run',
  ESTEIRA_TICK_SCHEDULE: 'schedule that a Job of the tick was started by',
  ESTEIRA_TICK_SINCE: 'since when the schedule of the step holds; a tick of a minute before begins no run',
  ESTEIRA_TICK_TIME_ZONE: 'time zone of that schedule',
  RDSTATION_BASE_URL: 'address of the RD Station API',
  RDSTATION_CLIENT_ID: 'OAuth client id',
  RDSTATION_CLIENT_SECRET: 'OAuth client secret',
  RDSTATION_REFRESH_TOKEN: 'OAuth refresh token of the account',
  RDSTATION_PORT: 'port of the RD Station stand-in',
  RDSTATION_LEADS: 'leads that the stand-in holds',
  RDSTATION_RATE_LIMIT: 'requests a minute that RD Station allows of an account, 0 for no limit',
} as const

/** A variable from the list. */
export type VariableName = keyof typeof variables

/** Variables with a name of the user's own: `ESTEIRA_CONNECTION_CRM` is the connection `crm` of Database.query. */
export const connectionPrefix = 'ESTEIRA_CONNECTION_'

/** Secrets that configs name: `ESTEIRA_SECRET_CRM_TOKEN` is `{ "$secret": "crm-token" }`. */
export const secretPrefix = 'ESTEIRA_SECRET_'

/** Names that begin like this are ours alone, so one that is not known is a fault. */
export const ownPrefixes = ['ESTEIRA_', 'RDSTATION_'] as const
