/**
 * What each value in a payload takes in memory beside its text, bytes: JSON of a million has up to ten million there. Of a
 * list of numbers it was 5 in Node 24, of small objects 30, of empty ones 36.
 */
export const bytesBesideText = 40

/**
 * How many bytes a value takes in memory when it is parsed, by its JSON and how many bytes that has as UTF-8. A text has one
 * byte a character, and two if any is beyond Latin-1, however few; of one that may be either it is taken for two. Values are
 * parted by commas; those within texts count too, which is on the safe side.
 */
export const bytesInMemory = (json: string, utf8Bytes: number): number => {
  const text = utf8Bytes === json.length ? json.length : Math.max(utf8Bytes, 2 * json.length)
  let values = 0
  for (let at = json.indexOf(','); at >= 0; at = json.indexOf(',', at + 1)) values += 1
  return text + values * bytesBesideText
}
