import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startProbingQueues } from './probe-queues.ts'

useApi()

const times = { waitsMs: 0, holdMs: 10, takesMs: 10, againMs: 60_000 }

test('a job whose message was lost is sent again by the duty when its probes have come out, and that is told', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  const kinds: string[] = []
  const told: unknown[] = []
  // All that a relay leaves of a message that was confirmed.
  await api.query(`delete from outbox_message`)
  const duty = startProbingQueues({
    orm: api.orm,
    lane: api.lane,
    times,
    observe: (event) => {
      kinds.push(event.kind)
      if (event.kind === 'jobs.lost') told.push(event)
    },
  })
  onTestFinished(duty.stop)
  const messages = () =>
    api.query(
      `select message.routing_key, message.payload ->> 'seq' as seq, probe.round from outbox_message message
       left join workflow_probe probe on probe.id::text = message.payload ->> 'probe' order by message.id`,
    )
  // Each look rings for a turn: the pause after one grows with the time it took, and no deadline knows the machine's load.
  const turnUntil = (isReached: () => boolean | Promise<boolean>) =>
    waitFor(
      () => {
        duty.wake()
        return isReached()
      },
      { describe: messages },
    )
  for (const round of [1, 2]) {
    // A worker's answer.
    await turnUntil(
      async () =>
        (
          await api.query(
            `update workflow_probe set seen_at = now() where round = $1 and seen_at is null returning round`,
            [round],
          )
        ).length > 0,
    )
  }
  await turnUntil(() => told.length > 0)
  expect(told).toEqual([{ kind: 'jobs.lost', functionName: 'RdStation.getLeads', jobs: 1 }])
  expect(kinds.slice(0, 3)).toEqual(['probe.begun', 'probe.sent', 'jobs.lost'])
  expect((await messages()).slice(0, 3)).toEqual([
    { routing_key: 'RdStation.getLeads', seq: null, round: null },
    { routing_key: 'RdStation.getLeads', seq: null, round: null },
    { routing_key: 'RdStation.getLeads', seq: '2', round: null },
  ])
  expect((await api.send('GET', `/v1/jobs?runId=${id}`)).body).toMatchObject({ items: [{ status: 'queued' }] })
})
