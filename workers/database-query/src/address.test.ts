import { expect, test } from 'vitest'
import { addresses, readAddress } from './address.ts'

test.each([
  ['postgres://app:s3cret@db:5432/crm', 'postgres://app:s3cret@db:5432/crm', 10, false],
  ['postgres://db/crm?sslmode=require', 'postgres://db/crm?sslmode=require', 10, false],
  ['postgres://db/crm?esteira_pool=5', 'postgres://db/crm', 5, false],
  ['postgres://db/crm?esteira_read_only=true', 'postgres://db/crm', 10, true],
  [
    'postgres://db/crm?sslmode=require&esteira_pool=1&esteira_read_only=false',
    'postgres://db/crm?sslmode=require',
    1,
    false,
  ],
])(
  'an address says how many sessions there are and whether they read only: %s',
  (address, url, sessions, isReadOnly) => {
    expect(readAddress(address)).toEqual({ ok: true, value: { url, sessions, isReadOnly } })
  },
)

test.each([
  ['postgres://db/crm?esteira_pool=0', 'an address with esteira_pool from 1 to 100', ''],
  ['postgres://db/crm?esteira_pool=many', 'an address with esteira_pool from 1 to 100', ''],
  ['postgres://db/crm?esteira_read_only=yes', 'an address with esteira_read_only=true or esteira_read_only=false', ''],
  ['postgres://db/crm?esteira_pol=5', 'an address without esteira_pol', ', did you mean "esteira_pool"?'],
  ['db/crm', 'an address such as postgres://user:password@host:port/name', ''],
])('what an address says wrongly is told without the address: %s', (address, expected, hint) => {
  expect(addresses.parse(address)).toEqual({ ok: false, expected, hint })
})
