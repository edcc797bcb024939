import type jsonata from 'jsonata'

/** All that the library reads of a time zone; of a name it makes NaN, and of hours alone minutes. */
export const zonePattern = /^[+-]?\d{4}$/

/** As the library throws its own, so that the place in the expression comes to it. */
export const zoneFault = {
  code: 'zone',
  message: 'The time zone of a time must be its offset from UTC, such as "-0300": names of zones are not known',
}

type FromMillis = (this: jsonata.Focus, millis: number, picture?: string, zone?: string) => unknown

/** Has an expression's `$now` refuse a zone that is none; else it is the library's. */
export const refuseUnknownZones = (expression: jsonata.Expression): void => {
  expression.registerFunction(
    'now',
    function (picture?: string, zone?: string) {
      if (zone !== undefined && !zonePattern.test(zone)) throw Object.assign(new Error(), zoneFault)
      const { environment } = this
      const fromMillis: { implementation: FromMillis } = environment.lookup('fromMillis')
      return fromMillis.implementation.call(this, environment.timestamp.getTime(), picture, zone)
    },
    '<s?s?:s>',
  )
}
