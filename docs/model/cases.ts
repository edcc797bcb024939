/** One search through the states of `lane.pml`: what is left out of it, and the property that then fails. */
export type ModelCase = {
  name: string
  flags: readonly string[]
  breaks: 'none' | 'ORDER' | 'ONCE' | 'KEPT' | 'ASLEEP'
  /** Takes minutes and gigabytes: only with `--deep`. */
  deep: boolean
}

const own = (faults: number) => [`-DFAULTS=${faults}`]
const keyed = (faults: number, rows = 2) => ['-DKEYED', `-DFAULTS=${faults}`, `-DROWS=${rows}`]

const whole = (name: string, flags: readonly string[], deep = false): ModelCase => ({
  name,
  flags,
  breaks: 'none',
  deep,
})

const without = (rule: string, breaks: ModelCase['breaks'], flags: readonly string[]): ModelCase => ({
  name: `without ${rule.toLowerCase().replaceAll('_', ' ')}`,
  flags: [...flags, `-DWITHOUT_${rule}`],
  breaks,
  deep: false,
})

/** Every rule of the protocol is here once, with the least that shows what it is for. */
export const cases: readonly ModelCase[] = [
  whole('own lane, one fault', own(1)),
  whole('key lane, one fault', keyed(1)),
  whole('key lane, two keys, no fault', keyed(0, 3)),
  whole('key lane, two faults', keyed(2), true),
  without('OWNER', 'ONCE', own(0)),
  without('GIVING_UP', 'ASLEEP', own(1)),
  without('FORGETTING', 'ASLEEP', own(1)),
  without('LETTING_GO', 'ASLEEP', keyed(1)),
  without('EXCLUSIVE_QUEUE', 'ORDER', keyed(1)),
  without('XID_FIRST', 'ASLEEP', own(0)),
  without('KEY_LOCK', 'ORDER', keyed(0)),
  without('BELL', 'ASLEEP', own(0)),
  without('READ_AFTER_ARMING', 'ASLEEP', own(0)),
  without('WAITING_FOR_THE_MARK', 'ASLEEP', own(0)),
  without('OWN_MARK_FOR_BELL', 'ASLEEP', own(0)),
  without('OWN_MARK_FOR_FLOOR', 'ASLEEP', own(0)),
  without('FLOOR_BELOW_ROWS', 'ASLEEP', own(1)),
  without('DUE_BY_ID', 'ASLEEP', own(1)),
  without('READS_AT_THE_FLOOR', 'ORDER', keyed(0, 3)),
  without('WAVES', 'ORDER', keyed(1)),
  without('HELD_KEYS', 'ORDER', keyed(1)),
  without('CONFIRMS', 'KEPT', own(1)),
  without('DELETE_FIRST', 'ONCE', keyed(1)),
]
