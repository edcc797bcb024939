import fc from 'fast-check'
import type { Ending } from './told-functions.ts'
import type { Blow } from './told-ward.ts'

/** What happens next: `which` worker, and the one to `pick` among what there is when it comes to it. */
export type Command =
  | { kind: 'publish' | 'cancel' | 'sweep' | 'probe' | 'retryAll' }
  | { kind: 'duplicate' | 'lose' | 'retry' | 'retryOther' | 'cancelOne' | 'poison'; pick: number }
  | { kind: 'beat' | 'loseBroker' | 'kill' | 'seeProbe' | 'search'; which: number }
  | { kind: 'receive' | 'receiveUnheard' | 'receiveSuspect' | 'find'; which: number; pick: number }
  | KillWard
  | { kind: 'goOn' | 'loseSession'; pick: number }
  | { kind: 'strike'; rows: number }
  | { kind: 'give' | 'giveUnheard'; pick: number; items: number }
  | { kind: 'finish' | 'finishUnheard' | 'finishTogether'; pick: number; ending: Ending }

/**
 * How a ward dies with suspects: so many at least that are received for it, of which one ends before, or not, what is done
 * when it is to die, and whether what goes on in the next one ends then.
 */
export type KillWard = {
  kind: 'killWard'
  which: number
  pick: number
  company: number
  isAfterOne: boolean
  isEndedAnew: boolean
  blow: Blow
  items: number
  ending: Ending
}

/** Which row ends the session that writes it: a group has some ten of them. */
const rows = fc.integer({ min: 1, max: 12 })
const pick = fc.nat(100)
const which = fc.nat(1)
const ending = fc.record({
  how: fc.constantFrom<Ending['how'][]>('done', 'done', 'throw', 'snooze', 'fail'),
  items: fc.nat(5),
})
const items = fc.integer({ min: 1, max: 6 })
const blow: fc.Arbitrary<Blow> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      at: fc.constantFrom('now', 'now', 'gave', 'called', 'answer'),
      isOwn: fc.boolean(),
      isSaid: fc.boolean(),
    }),
  },
  {
    // So often that some wards die one after the other, each before anything of the job had begun.
    weight: 1,
    arbitrary: fc.record({
      at: fc.constant('begun'),
      isOwn: fc.boolean(),
      isSaid: fc.boolean(),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
)
const kind = <Kind extends Command['kind']>(...kinds: Kind[]) => fc.constantFrom(...kinds)

const killWard: fc.Arbitrary<Command> = fc.record({
  kind: kind('killWard'),
  which,
  pick,
  company: fc.integer({ min: 1, max: 3 }),
  isAfterOne: fc.boolean(),
  isEndedAnew: fc.boolean(),
  blow,
  items,
  ending,
})

const anything: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: kind('publish') }) },
    { weight: 12, arbitrary: fc.record({ kind: kind('receive'), which, pick }) },
    { weight: 5, arbitrary: fc.record({ kind: kind('receiveUnheard'), which, pick }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('receiveSuspect'), which, pick }) },
    { weight: 10, arbitrary: killWard },
    { weight: 2, arbitrary: fc.record({ kind: kind('poison'), pick }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('find'), which, pick }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('goOn'), pick }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('loseSession'), pick }) },
    { weight: 3, arbitrary: fc.record({ kind: kind('strike'), rows }) },
    { weight: 12, arbitrary: fc.record({ kind: kind('give'), pick, items }) },
    { weight: 5, arbitrary: fc.record({ kind: kind('giveUnheard'), pick, items }) },
    { weight: 8, arbitrary: fc.record({ kind: kind('finish'), pick, ending }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('finishUnheard'), pick, ending }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('finishTogether'), pick, ending }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('beat', 'loseBroker', 'kill'), which }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('duplicate', 'lose', 'retry'), pick }) },
    { weight: 4, arbitrary: fc.record({ kind: kind('retryOther'), pick }) },
    { weight: 2, arbitrary: fc.record({ kind: kind('cancelOne'), pick }) },
    { weight: 6, arbitrary: fc.record({ kind: kind('probe') }) },
    { weight: 8, arbitrary: fc.record({ kind: kind('seeProbe', 'search'), which }) },
    { weight: 5, arbitrary: fc.record({ kind: kind('sweep', 'retryAll') }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('cancel') }) },
  ),
  { minLength: 20, maxLength: 80, size: 'max' },
)

/** Half of them begin with the death of a ward in which the first job is, which gives items in most. */
export const commands: fc.Arbitrary<Command[]> = fc
  .tuple(fc.oneof(fc.tuple(killWard), fc.constant([])), anything)
  .map((parts) => parts.flat())
