import { expect, test } from 'vitest'
import { createRelayMetrics } from './relay-metrics.ts'

test('what was observed is summed up, beside how the relay stands and what waits', () => {
  const metrics = createRelayMetrics()
  metrics.count({ kind: 'relay.batch', lane: 'pod', confirmed: 7, refused: 1, unknown: 0, ms: 250 })
  metrics.count({ kind: 'relay.batch', lane: 'pod', confirmed: 3, refused: 0, unknown: 2, ms: 500 })
  metrics.count({ kind: 'relay.parked', count: 1, reason: 'no queue takes it', messageId: 'a' })
  metrics.count({ kind: 'relay.lost', reason: 'killed' })
  metrics.count({ kind: 'broker.unblocked' })
  const text = metrics.text({ database: 'up', broker: 'blocked', lanes: 2 }, [
    { lane: 'web-1', rows: 5, oldestSeconds: 1.5 },
    { lane: 'of "quotes"\nand \\', rows: 0, oldestSeconds: 0 },
  ])
  const samples = text.split('\n').filter((line) => !line.startsWith('#'))
  expect(samples).toEqual([
    'esteira_relay_messages_total{outcome="confirmed"} 10',
    'esteira_relay_messages_total{outcome="refused"} 1',
    'esteira_relay_messages_total{outcome="unknown"} 2',
    'esteira_relay_messages_total{outcome="parked"} 1',
    'esteira_relay_batch_seconds_sum 0.75',
    'esteira_relay_batch_seconds_count 2',
    'esteira_relay_sessions_lost_total 1',
    'esteira_relay_lanes 2',
    'esteira_relay_database_up 1',
    'esteira_relay_broker_up 0',
    'esteira_outbox_rows{lane="web-1"} 5',
    'esteira_outbox_rows{lane="of \\"quotes\\"\\nand \\\\"} 0',
    'esteira_outbox_oldest_seconds{lane="web-1"} 1.5',
    'esteira_outbox_oldest_seconds{lane="of \\"quotes\\"\\nand \\\\"} 0',
    '',
  ])
  expect(text).toContain('# HELP esteira_relay_lanes Lanes that this relay owns.\n# TYPE esteira_relay_lanes gauge\n')
})

test('a metric without a sample is left out', () => {
  const text = createRelayMetrics().text({ database: 'down', broker: 'down', lanes: 0 }, [])
  expect(text).not.toContain('esteira_outbox')
  expect(text).toContain('esteira_relay_database_up 0\n')
})
