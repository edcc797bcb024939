import type { Delivered } from '../src/worker/deliver/finish.ts'
import type { Message } from './run-rows.ts'
import type { Told } from './told-functions.ts'

/** A delivery whose job was found, and perhaps not yet taken, or whose function is at work. */
export type Attempt = {
  message: Message
  /** Whether its message is still ours to ack: false once the broker has it back. */
  attached: boolean
  /** Whether the job is taken over from whoever had it when it was found. */
  isTakeover: boolean
  /** Whether it has a unit of work of its own, and with it the row of its job. */
  isOwn: boolean
  /** Whether it goes on by itself: another's unit of work, or others in a ward, may be in its way. */
  movesAlone: boolean
  /** Whether its job goes on in a new delivery with whatever its function gives. */
  continues: boolean
  /** What its commit will be compared with. */
  claim: () => string | null
  /** Whether it is attempted apart, or waits for that. */
  isApart: boolean
  /** How often a ward died that it had to itself, by its own doing or for a signal, and how often one before it had begun. */
  deaths: { own: number; signals: number; falseStarts: number }
  /** Hears of its function when that begins in its worker. */
  begins: (told: Told) => void
  begun: Promise<Told>
  /** What its function is told by; null before it has begun, and where one that moves by itself goes to its end. */
  told: Told | null
  /** Lets it go on from where its job was found. */
  goOn: () => void
  delivered: Promise<Delivered>
}

/** Of a message that was handed out so often the job is attempted apart. */
export const isSuspect = ({ deliveries }: Message): boolean => deliveries >= 2
