import { onTestFinished } from 'vitest'

/**
 * A fault of our own: in this test the function throws once, when it is next called from the place, directly or not. That is
 * text of its line in a stack, such as the name of a file or a function.
 */
export const throwIn = (place: string, on: object, name: string): Error => {
  const fault = new Error(`a fault in ${place}`)
  const works: unknown = Reflect.get(on, name)
  if (typeof works !== 'function') throw new Error(`${name} is no function`)
  const mend = () => void Reflect.set(on, name, works)
  const throws = function (this: unknown, ...given: unknown[]): unknown {
    if (new Error().stack?.includes(place) !== true) return Reflect.apply(works, this, given)
    mend()
    throw fault
  }
  Reflect.set(on, name, throws)
  onTestFinished(mend)
  return fault
}
