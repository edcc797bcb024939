import { testFunction, type TrialJob } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { getLeads } from './get-leads.ts'
import {
  contactsCursor,
  type ContactsCursor,
  type RdStationAccounts,
  RdStationError,
  type RdStationErrorCode,
} from './rd-station/index.ts'

/** What comes of a step that takes the segmentation from its payload. */
const leadsOf = (
  contacts: RdStationAccounts['contacts'],
  { cursor = null, config, ...job }: { cursor?: ContactsCursor | null } & Omit<TrialJob, 'cursor'> = {},
) =>
  testFunction(getLeads({ contacts }), {
    cursor,
    config: { segmentationId: '{{ payload.segmentationId }}', pageSize: 2, ...config },
    payload: { segmentationId: 7 },
    outputType: 'multiple',
    ...job,
  })

/** What comes of a read that the API's rate limit ends. */
const throttled = (retryAfterMs?: number) =>
  leadsOf(async function* () {
    yield { contacts: [], cursor }
    throw new RdStationError('throttled', 'answered 429', {
      call: 'GET /contacts',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  })

const cursor = contactsCursor.parse({ page: 2 })

const contact = (uuid: string) => ({ uuid, name: `Lead ${uuid}` })

test('the contacts of all pages of a segmentation are items, in their order', async () => {
  const trial = await leadsOf(async function* ({ segmentationId, pageSize }) {
    yield { contacts: [contact(`${segmentationId}-${pageSize}-1`), contact('2')], cursor }
    yield { contacts: [contact('3')], cursor }
  })
  expect(trial).toEqual({ kind: 'items', items: [contact('7-2-1'), contact('2'), contact('3')] })
})

test.each([
  ['2026-01-02T00:00:00-03:00', ['same', 'later', 'unreadable', 'of no zone', 'a day', 'a number']],
  ['2026-01-02T03:00:00.001Z', ['later', 'unreadable', 'of no zone', 'a day', 'a number']],
  [
    '{{ payload.since }}',
    ['earlier', 'same', 'later', 'never', 'not told', 'unreadable', 'of no zone', 'a day', 'a number'],
  ],
])('since %s only who has converted then or later is a lead: %j', async (since, uuids) => {
  const times = {
    earlier: '2026-01-01T23:59:59.999-03:00',
    same: '2026-01-02T03:00:00Z',
    later: '2026-01-02T00:00:00.001-03:00',
    never: null,
    'not told': undefined,
    unreadable: 'yesterday',
    'of no zone': '2026-01-01T00:00:00',
    'a day': '2025-12-31',
    'a number': 7,
  }
  const trial = await leadsOf(
    async function* ({ isWanted = () => true }) {
      const all = Object.entries(times).map(([uuid, last]) => ({ uuid, last_conversion_date: last }))
      yield { contacts: all.filter(isWanted), cursor }
    },
    { config: { since, fields: [] } },
  )
  expect(trial).toEqual({ kind: 'items', items: uuids.map((uuid) => ({ uuid })) })
})

test.each(['yesterday', '2026-01-02', '2026-01-02T00:00:00', 1_767_312_000_000, null])(
  'a since of %j is refused: no time, or one of no zone',
  async (since) => {
    const read = leadsOf(async function* () {}, {
      payload: { segmentationId: 7, since },
      config: { since: '{{ payload.since }}' },
    })
    await expect(read).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^config\.since: must be (a string|an ISO date and time with its zone, such as )/),
    })
  },
)

test.each([
  'https://api.example/v2?key=1',
  'https://user:hidden@api.example',
  'https://api.example/#v2',
  'ftp://a',
  'x',
])('a baseUrl of which something would be dropped, %j, is refused, and not told', async (baseUrl) => {
  const read = leadsOf(async function* () {}, {
    payload: { segmentationId: 7, baseUrl },
    config: { baseUrl: '{{ payload.baseUrl }}' },
  })
  await expect(read).rejects.toMatchObject({
    code: 'config_invalid',
    message:
      'config.baseUrl: must be an address such as https://api.example.com, without a user, a query or a fragment',
  })
})

test('a segmentation may be given by its digits, as a text', async () => {
  const trial = await leadsOf(
    async function* ({ segmentationId }) {
      yield { contacts: [contact(JSON.stringify(segmentationId))], cursor }
    },
    { payload: { segmentationId: '42' } },
  )
  expect(trial).toEqual({ kind: 'items', items: [contact('42')] })
})

test.each(['', '0', '-1', '1.5', ' 1', '1e3', '0x1', '1'.repeat(16), 0, 1.5, null, [1]])(
  'a segmentation %j is refused, and not told',
  async (segmentationId) => {
    const read = leadsOf(async function* () {}, { payload: { segmentationId } })
    await expect(read).rejects.toMatchObject({
      code: 'config_invalid',
      final: true,
      message: expect.stringMatching(
        /^config\.segmentationId: must be (more than 0|a whole number above 0, or its digits as a text)$/,
      ),
    })
  },
)

test.each([0, 126, 12.5, '25'])(
  'a pageSize of %j is refused: the API gives 125 contacts a call at most',
  async (pageSize) => {
    const read = leadsOf(async function* () {}, {
      config: { pageSize: '{{ payload.pageSize }}' },
      payload: { pageSize, segmentationId: 7 },
    })
    await expect(read).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^config\.pageSize: must be /),
    })
  },
)

test.each<[unknown, Record<string, unknown>]>([
  [['email', 'cf_plan'], { uuid: '1', email: 'ana@example.com', cf_plan: 'gold' }],
  [['uuid', 'missing', '__proto__'], { uuid: '1' }],
  [[], { uuid: '1' }],
  ['{{ payload.fields }}', { uuid: '1', name: 'Lead 1' }],
  ['{{ payload.missing }}', { ...contact('1'), email: 'ana@example.com', cf_plan: 'gold' }],
])('of a contact the fields %j go on, its uuid always, and all where none are named', async (fields, lead) => {
  const trial = await leadsOf(
    async function* () {
      yield { contacts: [{ ...contact('1'), email: 'ana@example.com', cf_plan: 'gold' }], cursor }
    },
    { config: { fields }, payload: { segmentationId: 7, fields: ['name'] } },
  )
  expect(trial).toEqual({ kind: 'items', items: [lead] })
})

test('a contact that moved onto a later page is one item, and the read is told how many are different', async () => {
  const told: number[] = []
  const trial = await leadsOf(async function* ({ written }) {
    yield { contacts: [contact('1'), contact('2')], cursor }
    yield { contacts: [contact('2'), contact('3')], cursor }
    told.push(await written())
  })
  expect(trial).toEqual({ kind: 'items', items: [contact('1'), contact('2'), contact('3')] })
  expect(told).toEqual([3])
})

test('leads that would be one value of more than 1 MiB are no longer read then, and the error names multiple', async () => {
  let pages = 0
  const endless = leadsOf(
    async function* () {
      for (; pages < 1_000; pages += 1) {
        yield { contacts: [{ ...contact(String(pages)), note: 'x'.repeat(50_000) }], cursor }
      }
    },
    { outputType: 'single' },
  )
  await expect(endless).rejects.toMatchObject({
    code: 'payload_too_large',
    message: expect.stringContaining('give smaller items under outputType "multiple"'),
  })
  expect(pages).toBeLessThan(25)
})

/** Contacts of which two cannot be stored: one in a member that not every config passes on, one in its uuid. */
const someUnstorable: RdStationAccounts['contacts'] = async function* ({ after }) {
  const all = [contact('1'), { ...contact('2'), name: 'A\0na' }, contact('3'), contact('4\ud800'), contact('5')]
  for (let at = (after?.page ?? 1) - 1; at < all.length; at += 1) {
    yield { contacts: all.slice(at, at + 1), cursor: { ...cursor, page: at + 2 } }
  }
}

test('contacts that nobody can store are left out, all others go on, and then the read fails with who and where', async () => {
  await expect(leadsOf(someUnstorable)).rejects.toMatchObject({
    code: 'unstorable',
    final: true,
    message:
      'the contacts of segmentation 7: 2 contacts have text with a NUL character or half of a surrogate pair, which ' +
      'nobody can store: "2" at "/name", "4\\ud800" at "/uuid"; all others have gone on: put it right in RD Station, ' +
      'and send the job again',
  })
})

test('what is not passed on of a contact need not be stored', async () => {
  const trial = leadsOf(
    async function* () {
      yield { contacts: [{ ...contact('1'), name: 'A\0na' }], cursor }
    },
    { config: { fields: [] } },
  )
  expect(await trial).toEqual({ kind: 'items', items: [{ uuid: '1' }] })
})

test('where all contacts are one value the first that nobody can store ends the read', async () => {
  let pages = 0
  const whole = leadsOf(
    async function* (query) {
      for await (const one of someUnstorable(query)) {
        pages += 1
        yield one
      }
    },
    { outputType: 'single' },
  )
  await expect(whole).rejects.toMatchObject({ code: 'unstorable', message: expect.stringContaining('nothing goes on') })
  expect(pages).toBe(2)
})

test('a source of which very many contacts cannot be stored is not read to its end', async () => {
  let pages = 0
  const broken = leadsOf(async function* () {
    for (; pages < 1_000; pages += 1) yield { contacts: [contact(`${pages}\0`)], cursor }
  })
  await expect(broken).rejects.toMatchObject({
    code: 'unstorable',
    message: expect.stringContaining('51 contacts have text'),
  })
  expect(pages).toBe(50)
})

test('the read begins behind the last page that was committed', async () => {
  const trial = await leadsOf(
    async function* ({ after }) {
      yield { contacts: [contact(`behind page ${(after?.page ?? 0) - 1}`)], cursor }
    },
    { cursor },
  )
  expect(trial).toEqual({ kind: 'items', items: [contact('behind page 1')] })
})

test('an attempt that goes on asks for what the first one did, whatever its expressions give now', async () => {
  const asked: unknown[] = []
  const read = (goOn: ContactsCursor | null, of: { id: number; size: number; since?: string }) =>
    leadsOf(
      async function* ({ segmentationId, pageSize, after, isWanted }) {
        const wanted = ['2026-01-01', '2026-01-03'].filter(
          (day) => isWanted?.({ uuid: day, last_conversion_date: `${day}T00:00:00Z` }) ?? true,
        )
        asked.push([segmentationId, pageSize, wanted, after?.page])
        yield { contacts: wanted.map(contact), cursor }
      },
      {
        cursor: goOn,
        config: {
          segmentationId: '{{ payload.id }}',
          pageSize: '{{ payload.size }}',
          ...(of.since && { since: '{{ payload.since }}' }),
        },
        payload: of,
      },
    )
  const first = { segmentationId: 7, pageSize: 2, since: '2026-01-02T00:00:00Z' }
  const behind = (since: string | null) => ({ ...cursor, page: 3, asked: { ...first, since } })
  await read(null, { id: 7, size: 2, since: first.since })
  await read(behind(first.since), { id: 8, size: 3, since: '2026-01-04T00:00:00Z' })
  await read(behind(null), { id: 8, size: 3, since: '2026-01-04T00:00:00Z' })
  await read(cursor, { id: 8, size: 3, since: first.since })
  expect(asked).toEqual([
    [7, 2, ['2026-01-03'], undefined],
    [7, 2, ['2026-01-03'], 3],
    [7, 2, ['2026-01-01', '2026-01-03'], 3],
    [8, 3, ['2026-01-03'], 2],
  ])
})

test('a read that the rate limit ends comes back when it is over, and burns no attempt', async () => {
  expect(await throttled(7_000)).toEqual({ kind: 'snooze', delayMs: 7_000, reason: 'GET /contacts: answered 429' })
})

test('one that is not told when comes back after a minute, by which the API counts', async () => {
  expect(await throttled()).toMatchObject({ kind: 'snooze', delayMs: 60_000 })
})

/** What comes of a read that the API answers so. */
const answered = (code: RdStationErrorCode, details: { status: number; retryAfterMs?: number }) =>
  leadsOf(async function* () {
    yield { contacts: [], cursor }
    throw new RdStationError(code, 'answered', { call: 'GET /contacts', ...details })
  })

test('a 503 that says when it is over puts the read off until then, and any other failure fails the attempt', async () => {
  const snoozed = { kind: 'snooze', delayMs: 9_000, reason: 'GET /contacts: answered' }
  expect(await answered('unavailable', { status: 503, retryAfterMs: 9_000 })).toEqual(snoozed)
  await expect(answered('unavailable', { status: 503 })).rejects.toMatchObject({ code: 'unavailable' })
  await expect(answered('unavailable', { status: 500, retryAfterMs: 9_000 })).rejects.toMatchObject({ status: 500 })
  await expect(answered('forbidden', { status: 403, retryAfterMs: 9_000 })).rejects.toMatchObject({ status: 403 })
})

test('a read that is to come back in a year comes back in an hour, and asks again', async () => {
  expect(await throttled(365 * 86_400_000)).toMatchObject({ kind: 'snooze', delayMs: 3_600_000 })
})

test.each([
  [{ outputType: 'multiple', hasNext: true }, false],
  [{ outputType: 'multiple', hasNext: false }, true],
  [{ outputType: 'single', hasNext: true }, true],
] as const)(
  '%j: whether a 429 is waited out, in the time of the attempt, is %s, as only pages that are committed need not be read again',
  async (step, expected) => {
    const asked: unknown[] = []
    await leadsOf(async function* ({ waitsOut, timeoutMs }) {
      asked.push(waitsOut, timeoutMs)
      yield { contacts: [], cursor }
    }, step)
    expect(asked).toEqual([expected, 1_200_000])
  },
)
