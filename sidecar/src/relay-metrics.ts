import type { LaneBacklog, Observation, RelayState } from '@esteira/outbox/relay'
import { prometheusText } from '@esteira/service'

/** What a relay counts of its own observations, and tells beside how it stands. */
export type RelayMetrics = {
  count: (observation: Observation) => void
  /** In the text format of Prometheus. */
  text: (state: RelayState, backlog: readonly LaneBacklog[]) => string
}

export const createRelayMetrics = (): RelayMetrics => {
  const messages = { confirmed: 0, refused: 0, unknown: 0, parked: 0 }
  const batches = { count: 0, seconds: 0 }
  let sessionsLost = 0
  return {
    count: (observation) => {
      if (observation.kind === 'relay.batch') {
        messages.confirmed += observation.confirmed
        messages.refused += observation.refused
        messages.unknown += observation.unknown
        batches.count += 1
        batches.seconds += observation.ms / 1_000
      }
      if (observation.kind === 'relay.parked') messages.parked += observation.count
      if (observation.kind === 'relay.lost') sessionsLost += 1
    },
    text: (state, backlog) =>
      prometheusText([
        {
          name: 'esteira_relay_messages_total',
          type: 'counter',
          help: 'Messages by how a try to publish them ended; those in flight when a channel is closed over one are tried anew.',
          samples: Object.entries(messages).map(([outcome, value]) => ({ labels: { outcome }, value })),
        },
        {
          name: 'esteira_relay_batch_seconds',
          type: 'summary',
          help: 'From a batch being read to its rows being deleted.',
          samples: [
            { suffix: '_sum', value: batches.seconds },
            { suffix: '_count', value: batches.count },
          ],
        },
        {
          name: 'esteira_relay_sessions_lost_total',
          type: 'counter',
          help: 'Control sessions that ended, and with them the ownership of every lane.',
          samples: [{ value: sessionsLost }],
        },
        {
          name: 'esteira_relay_lanes',
          type: 'gauge',
          help: 'Lanes that this relay owns.',
          samples: [{ value: state.lanes }],
        },
        {
          name: 'esteira_relay_database_up',
          type: 'gauge',
          help: 'Whether the relay has its session at Postgres.',
          samples: [{ value: state.database === 'up' ? 1 : 0 }],
        },
        {
          name: 'esteira_relay_broker_up',
          type: 'gauge',
          help: 'Whether RabbitMQ takes messages of this relay.',
          samples: [{ value: state.broker === 'up' ? 1 : 0 }],
        },
        {
          name: 'esteira_outbox_rows',
          type: 'gauge',
          help: 'Rows that wait in a lane of this relay, counted up to 10000.',
          samples: backlog.map(({ lane, rows }) => ({ labels: { lane }, value: rows })),
        },
        {
          name: 'esteira_outbox_oldest_seconds',
          type: 'gauge',
          help: 'Age of the first row that waits in a lane of this relay.',
          samples: backlog.map(({ lane, oldestSeconds }) => ({ labels: { lane }, value: oldestSeconds })),
        },
      ]),
  }
}
