import { unstorableText } from '@esteira/workflow'
import { type Contact, RdStationError } from './rd-station/index.ts'

/** The leads of a read, without those that Postgres cannot store. */
export type Leads = {
  /**
   * The leads that contacts become, less those that are left out.
   *
   * @throws RdStationError `unstorable` where nobody may be left out, or so many are that the source is to blame.
   */
  of: (contacts: readonly Contact[]) => Record<string, unknown>[]
  /** Who was left out so far, each once: the uuid, and where the text is. */
  leftOut: () => string[]
  /** What a read fails with that is over and has left somebody out. */
  error: () => RdStationError
}

type LeaveOutOptions = {
  leadOf: (contact: Contact) => Record<string, unknown>
  /** What is read, for errors. */
  call: string
  /** Where all leads are one value, none of them goes on without the others. */
  isWhole: boolean
  /** Who was left out by earlier attempts at the same read. */
  before?: readonly string[] | undefined
}

/** So many are told apart: they are kept with the place of the read. */
const mostLeftOut = 50

/** Neither of a uuid, which may be any text, nor of a place is more told, characters. */
const mostOfName = 80

/** Leaves out, and remembers, the leads that cannot be stored, so that they do not hold up the others. */
export const leaveOut = ({ leadOf, call, isWhole, before = [] }: LeaveOutOptions): Leads => {
  const leftOut = new Set(before)
  const most = isWhole ? 0 : mostLeftOut

  const error = (others: string): RdStationError => {
    const contacts = leftOut.size === 1 ? 'a contact has' : `${leftOut.size} contacts have`
    const fault = `${contacts} text with a NUL character or half of a surrogate pair, which nobody can store`
    const todo = 'put it right in RD Station, and send the job again'
    return new RdStationError('unstorable', `${fault}: ${[...leftOut].join(', ')}; ${others}: ${todo}`, { call })
  }

  return {
    of: (contacts) => {
      const leads = contacts.map(leadOf).filter((lead) => {
        const place = unstorableText(lead)
        if (place !== null) leftOut.add(`${quoted(lead['uuid'])} at ${quoted(place)}`)
        return place === null
      })
      if (leftOut.size > most) throw error(isWhole ? 'nothing goes on' : 'only the pages before have gone on')
      return leads
    },
    leftOut: () => [...leftOut],
    error: () => error('all others have gone on'),
  }
}

/** As JSON, where what nobody can store is escaped. */
const quoted = (text: unknown): string => JSON.stringify(String(text).slice(0, mostOfName))
