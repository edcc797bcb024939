/** One search through the states of a model: what is left out of it, and the property that then fails. */
export type ModelCase = {
  name: string
  model: 'lane' | 'probe' | 'stop'
  flags: readonly string[]
  breaks: 'none' | 'ORDER' | 'ONCE' | 'KEPT' | 'ASLEEP' | 'TWICE' | 'FOUND' | 'ENDED' | 'LEFT' | 'OVER'
  /** Takes minutes and gigabytes: only with `--deep`. */
  deep: boolean
}

const own = (faults: number) => [`-DFAULTS=${faults}`]
const keyed = (faults: number, rows = 2) => ['-DKEYED', `-DFAULTS=${faults}`, `-DROWS=${rows}`]

/** A relay that leaves a key lane to its neighbour. */
const stopped = [...keyed(0), '-DSTOPS']

/** A relay of a key lane whose confirms do not come in time, once. */
const overdue = [...keyed(0), '-DABANDONS']

/** Losses and deaths, rows that a relay publishes twice, and retries of the job. */
const search = (faults: number, doubles = 0, retries = 0) => [
  `-DFAULTS=${faults}`,
  `-DDOUBLES=${doubles}`,
  `-DRETRIES=${retries}`,
]

/** Relays that stop with lanes that hold rows, and more that come meanwhile. */
const stops = (faults: number, later = 0) => [`-DFAULTS=${faults}`, `-DLATER=${later}`]

const whole = (
  name: string,
  flags: readonly string[],
  deep = false,
  model: ModelCase['model'] = 'lane',
): ModelCase => ({
  name,
  model,
  flags,
  breaks: 'none',
  deep,
})

const without = (
  rule: string,
  breaks: ModelCase['breaks'],
  flags: readonly string[],
  model: ModelCase['model'] = 'lane',
): ModelCase => ({
  name: `without ${rule.toLowerCase().replaceAll('_', ' ')}`,
  model,
  flags: [...flags, `-DWITHOUT_${rule}`],
  breaks,
  deep: false,
})

/**
 * Every rule of the protocols is here once, with the least that shows what it is for. Two are searched at a time, in this
 * order, so what takes longest comes first.
 */
export const cases: readonly ModelCase[] = [
  whole('lost message, one fault, a row published twice, a retry', search(1, 1, 1), false, 'probe'),
  whole('own lane, one fault, which may be that ids go back', [...own(1), '-DSET_BACK']),
  whole('key lane, one fault, which may be that ids go back', [...keyed(1), '-DSET_BACK']),
  whole('key lane, two keys, no fault', keyed(0, 3)),
  whole('key lane, two faults', keyed(2), true),
  whole('key lane, a relay that stops, one fault', [...keyed(1), '-DSTOPS'], true),
  whole('two relays that stop, one fault', stops(1), true, 'stop'),
  whole('two relays that stop, a row meanwhile', stops(0, 1), false, 'stop'),
  whole('own lane, a relay that stops', [...own(0), '-DSTOPS']),
  whole('key lane, a relay that stops', stopped),
  whole('key lane, confirms that do not come in time, a relay that stops', [...overdue, '-DSTOPS']),
  without('OWNER', 'ONCE', own(0)),
  without('GIVING_UP', 'ASLEEP', own(1)),
  without('FORGETTING', 'ASLEEP', own(1)),
  without('WATCHING_IDS', 'ASLEEP', [...own(1), '-DSET_BACK']),
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
  without('FLOOR_BELOW_FLIGHT', 'ASLEEP', own(1)),
  without('DUE_BY_ID', 'ASLEEP', own(1)),
  without('GOING_BACK', 'ASLEEP', own(1)),
  without('OPENING_WHEN_PARKED', 'ASLEEP', own(1)),
  without('DROPPING_OLD_READS', 'ASLEEP', own(1)),
  without('READS_AT_THE_FLOOR', 'ORDER', keyed(0, 3)),
  without('WAVES', 'ORDER', keyed(1)),
  without('HELD_KEYS', 'ORDER', keyed(1)),
  without('RESTING_KEYS', 'ORDER', keyed(1)),
  without('NEXT_ROUND', 'ASLEEP', keyed(1)),
  without('CONFIRMS', 'KEPT', own(1)),
  without('DELETE_FIRST', 'ONCE', keyed(1)),
  without('DELETING_BEFORE_LEAVING', 'ONCE', stopped),
  without('ENDING_WITH_ABANDONED', 'ORDER', stopped),
  without('WAITING_FOR_THE_FORMER', 'ORDER', overdue),
  without('FREEING_THE_QUEUE', 'ASLEEP', stopped),
  without('FREEING_THE_LOCK', 'ASLEEP', stopped),
  without('LOCK_LAST', 'ONCE', [...own(0), '-DSTOPS']),
  without('COMING_BACK', 'LEFT', stops(1), 'stop'),
  without('WAITING_FOR_ITS_FORMER', 'LEFT', stops(1), 'stop'),
  without('TAKING_WHAT_IT_HAD', 'LEFT', stops(1), 'stop'),
  without('EMPTYING_ALL', 'LEFT', stops(0), 'stop'),
  without('LEAVING_BEFORE_LOOKING', 'LEFT', stops(0), 'stop'),
  without('WAITING_FOR_WHO_LEAVES', 'LEFT', stops(0), 'stop'),
  without('TAKING_ITS_OWN', 'LEFT', stops(0), 'stop'),
  without('TAKING_THE_REST', 'LEFT', stops(0), 'stop'),
  without('LEAVING_AGAIN', 'LEFT', stops(0), 'stop'),
  without('LOOKING_ONCE_MORE', 'LEFT', stops(0, 1), 'stop'),
  without('LEAVING_AT_LAST', 'LEFT', stops(0, 1), 'stop'),
  whole('lost message, two faults', search(2), false, 'probe'),
  whole('lost message, two faults, a row published twice, a retry', search(2, 1, 1), true, 'probe'),
  without('LOOK_AT_OUTBOX', 'TWICE', search(0), 'probe'),
  without('HOLD', 'TWICE', search(0), 'probe'),
  without('SECOND_ROUND', 'TWICE', search(1), 'probe'),
  without('TIME_TO_TAKE', 'TWICE', search(1), 'probe'),
  without('BEATS', 'TWICE', search(0), 'probe'),
  without('TAKEOVER', 'TWICE', search(1), 'probe'),
  without('ROUNDS', 'TWICE', search(1), 'probe'),
  without('COMPARING', 'ENDED', search(1), 'probe'),
  without('AGAIN', 'FOUND', search(1), 'probe'),
]
