import type { Contact } from './rd-station/index.ts'

/**
 * What goes on of a contact: all that came, or only the members that are wanted, and the uuid by which leads are told
 * apart.
 */
export const leadOf = (fields: readonly string[] | undefined): ((contact: Contact) => Record<string, unknown>) => {
  if (fields === undefined) return (contact) => contact
  const wanted = new Set(['uuid', ...fields])
  return (contact) => Object.fromEntries(Object.entries(contact).filter(([name]) => wanted.has(name)))
}
