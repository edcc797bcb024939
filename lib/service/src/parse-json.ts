/**
 * JSON with all its digits: a number that would be another one here (`9007199254740993`) stays the text that it was.
 */
export const parseJson = (text: string): unknown => {
  // Up to 15 digits each number is the same, and most texts have no others.
  if (!mayRound.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && context?.source !== undefined && isRounded(value, context.source)
      ? context.source
      : value,
  )
}

const mayRound = /[\d.]{16}|\d[eE]/

const isRounded = (value: number, source: string): boolean => decimalOf(String(value)) !== decimalOf(source)

/** A number in one way of writing it: its digits without zeros around them, and how far they are moved. */
const decimalOf = (number: string): string => {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  if (kept === '') return number.includes('I') ? number : '0'
  return `${sign}${kept}e${BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - kept.length)}`
}
