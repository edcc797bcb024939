/**
 * The member that makes an object of a config a reference to a secret, a text that only the worker knows:
 * `{ "$secret": "crm-token" }`.
 */
export const secretMember = '$secret'

/** A name is that of a file, so it leads to no other folder. */
const secretName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/

/** Whether an object is meant as a reference, be it right or not. */
export const isReference = (value: object): boolean => Object.hasOwn(value, secretMember)

/** What is wrong with a reference; null if nothing is. */
export const faultOfReference = (value: object): string | null => {
  if (Object.keys(value).length > 1) return `must have no member beside ${secretMember}`
  const name: unknown = Reflect.get(value, secretMember)
  if (typeof name === 'string' && secretName.test(name)) return null
  return `${secretMember} must be a name of letters, digits, "-", "_" and "."`
}

/** The name in a reference that has no fault. */
export const nameIn = (value: object): string => String(Reflect.get(value, secretMember))
