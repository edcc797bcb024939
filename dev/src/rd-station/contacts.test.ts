import { expect, test } from 'vitest'
import { contactAt, contactsOnPage } from './contacts.ts'

test('a contact is the same whenever it is asked for', () => {
  expect(contactAt('seed', 7, 41)).toEqual(contactAt('seed', 7, 41))
  expect(contactAt('seed', 7, 41)).toMatchInlineSnapshot(`
    {
      "created_at": "2023-11-17T19:48:50.645-03:00",
      "email": "beatriz.vieira.41@s7.example.com",
      "last_conversion_date": "2024-07-02T07:10:36.645-03:00",
      "links": [
        {
          "href": "https://api.rd.services/platform/contacts/53681117-6040-4474-899d-9ef8b9d5d1fa",
          "media": "application/json",
          "rel": "SELF",
          "type": "GET",
        },
      ],
      "name": "Beatriz Mendes Vieira",
      "uuid": "53681117-6040-4474-899d-9ef8b9d5d1fa",
    }
  `)
})

test('another seed, segmentation or index gives another contact', () => {
  const contacts = [contactAt('a', 1, 1), contactAt('b', 1, 1), contactAt('a', 2, 1), contactAt('a', 1, 2)]
  expect(new Set(contacts.map(({ uuid }) => uuid)).size).toBe(4)
})

test('no two contacts share a uuid or an email, not even across segmentations', () => {
  const all = [1, 2].flatMap((id) => contactsOnPage('seed', id, { page: 1, pageSize: 20_000, total: 20_000 }))
  expect(new Set(all.map(({ uuid }) => uuid)).size).toBe(40_000)
  expect(new Set(all.map(({ email }) => email)).size).toBe(40_000)
})

test('emails are plain ASCII, uuids and times have the form of the public API', () => {
  for (const contact of contactsOnPage('seed', 1, { page: 1, pageSize: 2_000, total: 2_000 })) {
    expect(contact.email).toMatch(/^[a-z]+\.[a-z]+\.\d+@s1\.example\.com$/)
    expect(contact.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(contact.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-03:00$/)
    expect(Date.parse(contact.last_conversion_date)).toBeGreaterThanOrEqual(Date.parse(contact.created_at))
  }
})

test('the pages of a segmentation are its contacts in order, the last page short, the one after it empty', () => {
  const total = 260
  const pages = [1, 2, 3, 4].map((page) => contactsOnPage('seed', 3, { page, pageSize: 125, total }))
  expect(pages.map(({ length }) => length)).toEqual([125, 125, 10, 0])
  expect(pages.flat()).toEqual(Array.from({ length: total }, (_, index) => contactAt('seed', 3, index)))
})

test('the last page of a hundred million costs no more than the first', () => {
  const page = contactsOnPage('seed', 1, { page: 800_000, pageSize: 125, total: 100_000_000 })
  expect(page.at(-1)).toEqual(contactAt('seed', 1, 99_999_999))
})
