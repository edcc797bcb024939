import { spawn } from 'node:child_process'
import { exit } from 'node:process'

/**
 * A ward that ends at once and leaves a process behind, as a function can that starts programs. When there is a file of
 * the name that is its argument, that answers for a job over the ward's channel, and makes another file beside it.
 */
const [, , file = ''] = process.argv

const ready = JSON.stringify({ kind: 'ready' })
const answer = JSON.stringify({ kind: 'answer', id: 1, answer: { kind: 'lost' }, runsOn: false })
const channel = 3

process.send?.(JSON.parse(ready), undefined, undefined, () => {
  const wait = `while [ ! -e "${file}" ]; do sleep 0.05; done; echo '${answer}' >&${channel}; touch "${file}.said"`
  spawn('sh', ['-c', wait], { stdio: ['ignore', 'ignore', 'ignore', channel], detached: true }).unref()
  exit(7)
})
