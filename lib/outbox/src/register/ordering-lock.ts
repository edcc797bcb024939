/**
 * The first key of an ordering key's advisory lock ('outk' in ASCII); the second is the hash of the ordering key. A writer
 * has it from before its ids are drawn to its commit, and so has a relay that moves what is due.
 */
export const orderingLockClass = 0x6f_75_74_6b
