import type { WriteStream } from 'node:tty'
import { render } from './render.ts'
import type { Snapshot } from './snapshot.ts'

/** Shows snapshots and sentences, each kind of output in its own way. */
export type Screen = {
  /** A sentence that stays. */
  say: (line: string) => void
  show: (snapshot: Snapshot) => void
}

const clearBelow = '\u001b[0J'
const upBy = (lines: number): string => (lines === 0 ? '' : `\u001b[${lines}F`)

/** A screen for a terminal: sentences scroll above a picture that is drawn in place, and only when it changed. */
export const terminalScreen = (out: WriteStream): Screen => {
  let drawn: string[] = []
  return {
    say: (line) => {
      out.write(`${upBy(drawn.length)}${clearBelow}${line}\n${drawn.map((old) => `${old}\n`).join('')}`)
    },
    show: (snapshot) => {
      const lines = render(snapshot, out.columns).slice(0, out.rows - 1)
      if (lines.join('\n') === drawn.join('\n')) return
      out.write(`${upBy(drawn.length)}${clearBelow}${lines.map((line) => `${line}\n`).join('')}`)
      drawn = lines
    },
  }
}

/** A screen for a file or a pipe: plain lines, one a change. */
export const plainScreen = (out: NodeJS.WritableStream): Screen => {
  let last: Snapshot | undefined
  const say = (line: string): void => {
    out.write(`${line}\n`)
  }
  return {
    say,
    show: (snapshot) => {
      for (const line of changes(last, snapshot)) say(line)
      last = snapshot
    },
  }
}

const changes = (before: Snapshot | undefined, now: Snapshot): string[] => {
  const runs = now.runs
    .filter((run) => before?.runs.find(({ id }) => id === run.id)?.status !== run.status)
    .map(
      (run) => `run ${run.id} (${run.trigger}): ${run.status}, ${run.succeeded} jobs succeeded, ${run.failed} failed`,
    )
  const leads = before?.leads.count === now.leads.count ? [] : [`leads in the table: ${now.leads.count}`]
  return [...runs.toReversed(), ...leads]
}
