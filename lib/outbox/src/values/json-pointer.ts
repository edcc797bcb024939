/** The JSON pointer of a place within the member `key`; `''` is the member itself. Fit for texts of errors. */
export const pointerInto = (key: string, place: string): string =>
  `/${key.toWellFormed().replaceAll('\0', '\uFFFD').replaceAll('~', '~0').replaceAll('/', '~1')}${place}`
