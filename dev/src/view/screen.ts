import type { WriteStream } from 'node:tty'
import { stripVTControlCharacters } from 'node:util'
import { render } from './render.ts'
import { counted } from './run-sentences.ts'
import type { Snapshot } from './snapshot.ts'

/** Shows snapshots and sentences, each kind of output in its own way. */
export type Screen = {
  /** A sentence that stays. */
  say: (line: string) => void
  show: (snapshot: Snapshot) => void
  /** Leaves the picture as it is; sentences come below it from now on. */
  leave: () => void
}

/** What is needed of a terminal. */
export type Terminal = Pick<WriteStream, 'columns' | 'rows'> & {
  write: (text: string) => unknown
  on: (event: 'resize', listener: () => void) => unknown
  off: (event: 'resize', listener: () => void) => unknown
}

const clearBelow = '\u001b[0J'
const clearRight = '\u001b[0K'
const toFirstColumn = (rowsUp: number): string => (rowsUp === 0 ? '\r' : `\u001b[${rowsUp}F`)

/** A terminal that knows these shows what is between them at once; others ignore them. */
const [beginUpdate, endUpdate] = ['\u001b[?2026h', '\u001b[?2026l']

/**
 * A screen for a terminal: sentences scroll above a picture that is drawn in place, when it changed or the window did.
 * A picture is written over the one before, not cleared first, so that nothing flickers.
 */
export const terminalScreen = (out: Terminal): Screen => {
  let shown: Snapshot | undefined
  let drawn: string[] = []

  /** A terminal that was not told its size says 0. One column stays free: a full line would wrap in some terminals. */
  const size = () => ({ columns: (out.columns || 80) - 1, rows: (out.rows || 24) - 1 })

  const draw = (lines: readonly string[], before = '') => {
    const picture = lines.map((line) => `${line}${clearRight}\n`).join('')
    const start = toFirstColumn(rowsOf(drawn, out.columns || 80))
    out.write(`${beginUpdate}${start}${before}${picture}${clearBelow}${endUpdate}`)
    drawn = [...lines]
  }

  const redraw = () => {
    if (shown !== undefined) draw(render(shown, size()))
  }
  out.on('resize', redraw)

  return {
    say: (line) => draw(drawn, `${clearBelow}${line}\n`),
    show: (snapshot) => {
      shown = snapshot
      const lines = render(snapshot, size())
      if (lines.join('\n') !== drawn.join('\n')) draw(lines)
    },
    leave: () => {
      out.off('resize', redraw)
      drawn = []
    },
  }
}

/** How many rows lines take: a window made narrower since they were drawn has wrapped them. */
const rowsOf = (lines: readonly string[], columns: number): number =>
  lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns)), 0)

/** A screen for a file or a pipe: plain lines, one a change. */
export const plainScreen = (out: Pick<Terminal, 'write'>): Screen => {
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
    leave: () => undefined,
  }
}

const changes = (before: Snapshot | undefined, now: Snapshot): string[] => {
  const runs = now.runs
    .filter((run) => before?.runs.find(({ id }) => id === run.id)?.status !== run.status)
    .map(
      (run) =>
        `run ${run.id} (${run.trigger}): ${run.status}, ${counted(run.succeeded, 'job')} succeeded, ${run.failed} failed`,
    )
  const leads = before?.leads.count === now.leads.count ? [] : [`leads in the table: ${now.leads.count}`]
  return [...runs.toReversed(), ...leads]
}
