import { expect } from 'vitest'
import {
  anyBegun,
  begunOf,
  finishUnit,
  giveItems,
  gives,
  goOn,
  killWard,
  receiveSuspect,
  strike,
  untakenOf,
} from './acts.ts'
import type { Command } from './commands.ts'
import { type Belt, fits, type Jobs, keyOf, messagesOn, oneOf } from './of-two.ts'
import type { JobRow } from './run-rows.ts'
import type { Attempt } from './attempt-of-two.ts'
import type { RunOfTwo } from './two-workers.ts'

const isAt = ({ message }: Attempt, { id }: JobRow): boolean => message.jobId === id

/** Does what is asked for, where there is something to do it with, and says what must come of it. */
export const obey = async (run: RunOfTwo, command: Command, before: Jobs, belt: Belt): Promise<void> => {
  switch (command.kind) {
    case 'publish':
      return run.publish()
    case 'duplicate': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message === undefined) return
      run.belt.push({ ...message, redelivered: false })
      belt.copies.set(keyOf(message), (belt.copies.get(keyOf(message)) ?? 0) + 1)
      return
    }
    case 'lose': {
      const message = oneOf(run.belt, command.pick)
      if (message === undefined) return
      run.belt.splice(run.belt.indexOf(message), 1)
      if (!('probe' in message)) belt.lost.add(keyOf(message))
      return
    }
    case 'seeProbe': {
      const at = run.belt.findIndex((one) => 'probe' in one)
      for (const message of run.belt.slice(0, Math.max(at, 0))) {
        if ('probe' in message) continue
        const attempt = await run.find(command.which, message)
        if (!attempt.isOwn || run.hasRoom()) await run.goOn(attempt)
      }
      return run.seeProbe()
    }
    case 'probe': {
      const stillUntaken = untakenOf(run).map(({ message }) => keyOf(message))
      const sent = await run.probe()
      await run.publish()
      for (const id of sent) {
        const was = before.get(id)
        const key = keyOf({ jobId: id, seq: was?.seq ?? 0 })
        expect(
          [...belt.lost, ...belt.untaken, ...stillUntaken],
          `a job on the belt that was sent again, when it was ${was?.status}`,
        ).toContain(key)
      }
      return
    }
    case 'search': {
      // The whole way, which hardly comes about by chance: what is in hand at the first sight goes back before the second.
      const steps: Command[] = [
        { kind: 'probe' },
        { kind: 'seeProbe', which: command.which },
        { kind: 'loseBroker', which: 0 },
        { kind: 'loseBroker', which: 1 },
        { kind: 'probe' },
        { kind: 'seeProbe', which: command.which },
        { kind: 'probe' },
      ]
      for (const step of steps) await obey(run, step, await run.jobs(), belt)
      return
    }
    case 'find': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message !== undefined) await run.find(command.which, message)
      return
    }
    case 'receive': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message !== undefined) await goOn(run, await run.find(command.which, message))
      return
    }
    case 'receiveUnheard': {
      await run.publish()
      const message = oneOf(messagesOn(run), command.pick)
      if (message === undefined) return
      // As if it had been in the hands of somebody whose link fell at once.
      message.redelivered = true
      message.deliveries += 1
      const attempt = await run.find(command.which, message)
      return attempt.isOwn ? goOn(run, attempt) : run.unheard(() => goOn(run, attempt))
    }
    case 'receiveSuspect':
      return receiveSuspect(run, command.which, command.pick)
    case 'killWard':
      return killWard(run, command, belt)
    case 'poison': {
      const job = oneOf([...before.values()], command.pick)
      if (job !== undefined) run.poison.add(job.id)
      return
    }
    case 'goOn': {
      const attempt = oneOf(run.found(), command.pick)
      if (attempt !== undefined) await goOn(run, attempt)
      return
    }
    case 'strike':
      // Whatever comes next comes to the same.
      return run.strike(command.rows)
    case 'loseSession': {
      const attempt = oneOf(run.attempts.filter(run.holds), command.pick)
      if (attempt !== undefined) await run.loseSession(attempt)
      return
    }
    case 'give':
    case 'giveUnheard': {
      const isUnheard = command.kind === 'giveUnheard'
      const attempt = await (isUnheard
        ? anyBegun(run, command.pick, gives)
        : oneOf(begunOf(run).filter(gives), command.pick))
      if (attempt === undefined) return
      const mayWrite = fits(await run.jobs(), attempt)
      const give = () => giveItems(run, attempt, command.items, mayWrite, isUnheard)
      return isUnheard ? run.unheard(give) : give()
    }
    case 'finishUnheard': {
      const attempt = await anyBegun(run, command.pick, ({ isOwn }) => !isOwn)
      if (attempt === undefined) return
      const mustWin = fits(await run.jobs(), attempt)
      const end = await run.unheard(() => run.finish(attempt, command.ending))
      // What was written and not heard of is found to be over, or to have moved on, when it is written again.
      expect(end.kind).toBeOneOf(mustWin ? ['written', 'dropped'] : ['dropped'])
      expect(fits(await run.jobs(), attempt), 'the row of a job that is written').toBe(false)
      return
    }
    case 'finish': {
      const attempt = oneOf(begunOf(run), command.pick)
      if (attempt === undefined) return
      const mustWin = fits(before, attempt)
      if (attempt.isOwn) return finishUnit(run, attempt, command.ending, mustWin)
      expect((await run.finish(attempt, command.ending)).kind).toBe(mustWin ? 'written' : 'dropped')
      return
    }
    case 'finishTogether': {
      const begun = begunOf(run)
      const first = oneOf(begun, command.pick)
      const second = begun.find((other) => other !== first && other.message.jobId === first?.message.jobId)
      // Of those that have the row of their job there are no two.
      if (first === undefined || second === undefined || first.isOwn) return
      const mayWin = [first, second].filter((attempt) => fits(before, attempt)).length
      const ends = await Promise.all([run.finish(first, command.ending), run.finish(second, { how: 'done', items: 2 })])
      expect(ends.filter((end) => end.kind === 'written')).toHaveLength(Math.min(1, mayWin))
      return
    }
    case 'beat':
      return run.beat(command.which)
    case 'loseBroker':
      return strike(run, belt, () => run.loseBroker(command.which))
    case 'kill':
      return strike(run, belt, () => run.kill(command.which))
    case 'retry': {
      const job = oneOf([...before.values()], command.pick)
      if (job === undefined) return
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      const answer = isCancelled ? 'run cancelled' : job.status === 'failed' ? 'sent' : 'job not failed'
      expect(await run.retry(job.id)).toBe(answer)
      return
    }
    case 'retryOther': {
      // Those of the second step have their place as payload, and keep it.
      const job = [...before.values()].find(({ isFirst }) => isFirst)
      if (job === undefined) return
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      const isFailed = job.hasGiven ? 'job has given items' : 'sent'
      const answer = isCancelled ? 'run cancelled' : job.status === 'failed' ? isFailed : 'job not failed'
      expect(await run.retry(job.id, { payload: command.pick })).toBe(answer)
      return
    }
    case 'cancelOne': {
      const job = oneOf([...before.values()], command.pick)
      // Who has the row of a job keeps it until it ends: that is waited for, and in vain.
      if (job === undefined || [...run.attempts, ...run.zombies].some((one) => run.holds(one) && isAt(one, job))) return
      const isEnded = job.status === 'succeeded' || job.status === 'failed'
      expect(await run.cancelOne(job.id)).toEqual(isEnded ? { over: job.status } : 'cancelled')
      return
    }
    case 'retryAll': {
      const failed = [...before.values()].filter(({ status }) => status === 'failed').length
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      expect(await run.retryAll()).toEqual(isCancelled ? 'run cancelled' : { jobs: failed })
      return
    }
    case 'cancel':
      await run.cancel()
      return
    case 'sweep':
      return run.sweep()
  }
}
