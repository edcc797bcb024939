import { DatabaseError } from 'pg'
import { expect, test } from 'vitest'
import { explain } from './explain.ts'

const text = 'select to_date($1, \'Month\') from "Lead" where crm.city = any ($2)'

/** What is said of an error that the server sends with these words. */
const said = (code: string, message: string): string =>
  String(
    explain(Object.assign(new DatabaseError(message, 0, 'error'), { code }), { text, names: [], isReadOnly: false }),
  )

test.each([
  ['42P01', 'relation "lead" does not exist'],
  ['42P01', 'relação "crm.city" não existe'],
  ['42601', 'syntax error at or near "from"'],
  ['42P18', 'could not determine data type of parameter $1'],
  ['42703', 'la colonne « city » n’existe pas'],
  ['42883', 'function to_date(unknown) does not exist'],
  ['P0001', 'the lead "secret" is forbidden'],
  ['40001', 'the lead "secret" is forbidden'],
  ['55P03', 'could not obtain lock on row in relation "people"'],
  ['LD001', 'the lead "secret" is forbidden'],
])('what the server quotes of the statement itself is told, and what its author raises: %s %s', (code, message) => {
  expect(said(code, message)).toContain(`config.sql: ${message} (SQLSTATE ${code})`)
})

test.each([
  ['22007', 'invalid value "secret" for "Month"', 'invalid value ...'],
  ['22023', 'time zone "secret" not recognized', 'time zone ... not recognized'],
  ['22023', 'time zone "sec"ret" not recognized', 'time zone ... not recognized'],
  ['22P02', '"secret" is not a valid binary digit', '... is not a valid binary digit'],
  ['42P01', 'relation "secret" does not exist', 'relation ... does not exist'],
  ['42P01', 'relation "from secret" does not exist', 'relation ... does not exist'],
  ['42P01', 'relation "ead" does not exist', 'relation ... does not exist'],
  ['42883', 'operator does not exist: secret', 'operator does not exist: ...'],
  ['42883', 'function crm.secret(integer) does not exist', 'function ...(integer) does not exist'],
  ['42883', 'função secret(integer) não existe', 'função ...(integer) não existe'],
  [
    '42601',
    'improper relation name (too many dotted names): se.cr.e.t',
    'improper relation name (too many dotted names): ...',
  ],
  ['3D000', 'database "secret" does not exist', 'database ... does not exist'],
  ['55000', 'currval of sequence "secret" is not yet defined', 'currval of sequence ... is not yet defined'],
  [
    '58P01',
    'could not open file "secret" for reading: No such file or directory',
    'could not open file ... for reading: No such file or directory',
  ],
  ['22003', 'value "secret" is out of range for type integer', 'a value is out of range for type integer'],
  [
    '22003',
    'valor "secret" está fora do intervalo para tipo integer',
    'valor ... está fora do intervalo para tipo integer',
  ],
  ['22003', 'Wert »secret« ist außerhalb des gültigen Bereichs', 'Wert ... ist außerhalb des gültigen Bereichs'],
  ['22003', 'Wert „secret“ ist außerhalb des gültigen Bereichs', 'Wert ... ist außerhalb des gültigen Bereichs'],
  [
    '22P02',
    'sintaxe de entrada é inválida para tipo integer: "secret"',
    'sintaxe de entrada é inválida para tipo integer',
  ],
])('what is not in the statement may be a value, and is not told: %s %s', (code, message, expected) => {
  expect(said(code, message)).toContain(`: ${expected} (SQLSTATE ${code})`)
})

test.each([
  ['2202E', 'index 4711 out of valid range, 0..0', 'index ... out of valid range, ...'],
  ['42704', 'large object 4711 does not exist', 'large object ... does not exist'],
  ['54000', 'requested character too large for encoding: 4711', 'requested character too large for encoding: ...'],
  [
    '22P05',
    'character with byte sequence 0xe2 0x82 has no equivalent',
    'character with byte sequence ... ... has no equivalent',
  ],
  ['2201X', 'zu kleiner Wert -4711', 'zu kleiner Wert ...'],
  ['22001', 'value too long for type character varying(10)', 'value too long for type character varying(10)'],
  ['22004', 'no int4range for parameter $1', 'no int4range for parameter $1'],
  ['42704', 'large object 31 does not exist', 'large object 31 does not exist'],
])('so may a number be that is not, but for the length of a type: %s %s', (code, message, expected) => {
  const error = Object.assign(new DatabaseError(message, 0, 'error'), { code })
  expect(
    String(explain(error, { text: 'select lo_get(31), get_byte($1, $2)', names: [], isReadOnly: false })),
  ).toContain(`: ${expected} (SQLSTATE ${code})`)
})

test('what the parser says of a place in the statement is told: it knows no value', () => {
  const error = Object.assign(new DatabaseError('column "age" is of type integer', 0, 'error'), {
    code: '42804',
    position: '8',
  })
  expect(String(explain(error, { text, names: [], isReadOnly: false }))).toContain(
    'config.sql: column "age" is of type integer, at character 8 (SQLSTATE 42804)',
  )
})

test('what may be better another time is not final', () => {
  const error = Object.assign(new DatabaseError('deadlock detected', 0, 'error'), { code: '40P01' })
  expect(explain(error, { text, names: [], isReadOnly: false })).toMatchObject({
    code: 'refused_for_now',
    final: false,
    message: 'config.sql: deadlock detected (SQLSTATE 40P01)',
  })
})
