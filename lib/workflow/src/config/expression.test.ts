import { expect, test } from 'vitest'
import { parseTemplate, type Scope } from './expression.ts'

const scope: Scope = {
  payload: { email: 'ana@example.com', age: 31, tags: [{ id: 1 }, { id: 2 }], company: { name: 'Acme' }, none: null },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  step: { id: 'step-1', name: 'fetch' },
}
const evaluate = async (text: string) => parseTemplate(text).evaluate(scope)

test.each([
  ['{{ payload.age }}', 31],
  ['{{payload.company}}', { name: 'Acme' }],
  ['{{ payload.none }}', null],
  ['{{ run.id }}', 'run-1'],
  ['{{ step.name }}', 'fetch'],
  ['{{ payload }}', scope.payload],
  ['{{ payload.age > 30 ? "old" : "young" }}', 'old'],
  ['{{ {"a": {"b": payload.age}} }}', { a: { b: 31 } }],
])('%s as a whole text keeps its type', async (text, expected) => {
  expect(await evaluate(text)).toEqual(expected)
})

test('a path that leads nowhere gives nothing', async () => {
  expect(await evaluate('{{ payload.missing.deeper }}')).toBeUndefined()
  expect(await evaluate('{{ payload.constructor }}')).toBeUndefined()
})

test.each([
  [[], []],
  [[{ id: 1 }], [1]],
  [
    [{ id: 1 }, { id: 2 }],
    [1, 2],
  ],
  [
    [{ id: [1] }, {}, 'text', null],
    [[1], null, null, null],
  ],
  [[[{ id: 1 }]], [[1]]],
])('a plain path through the list %j gives as many: %j', async (list, expected) => {
  expect(await parseTemplate('{{ payload.list.id }}').evaluate({ ...scope, payload: { list } })).toEqual(expected)
  expect(await parseTemplate('{{ payload.id }}').evaluate({ ...scope, payload: list })).toEqual(expected)
})

test('a list at the end of a plain path is passed on as it is, and names need not be English', async () => {
  const payload = { one: [7], endereço: { número: 12 } }
  expect(await parseTemplate('{{ payload.one }}').evaluate({ ...scope, payload })).toEqual([7])
  expect(await parseTemplate('{{ payload.endereço.número }}').evaluate({ ...scope, payload })).toBe(12)
})

test('what is no plain path is JSONata: a list of one is its item there, unless "[]" keeps it', async () => {
  const one = { ...scope, payload: { list: [{ id: 1 }] } }
  expect(await parseTemplate('{{ payload.list[id > 0].id }}').evaluate(one)).toBe(1)
  const kept = await parseTemplate('{{ payload.list[id > 0].id[] }}').evaluate(one)
  expect(JSON.stringify(kept)).toBe('[1]')
})

test('expressions inside a longer text become part of it', async () => {
  expect(await evaluate('Hello {{ payload.company.name }}, you are {{ payload.age }}')).toBe('Hello Acme, you are 31')
  expect(await evaluate('{{ payload.age }}/{{ payload.company }}')).toBe('31/{"name":"Acme"}')
})

test('an expression inside a text that gives nothing fails the job', async () => {
  await expect(evaluate('Hello {{ payload.missing }}')).rejects.toThrow(
    expect.objectContaining({
      code: 'expression_failed',
      message: '"{{ payload.missing }}" inside a text gave nothing',
    }),
  )
})

test('a faulty expression is told when it is read, with its place', () => {
  expect(() => parseTemplate('{{ payload.( }}')).toThrow(
    expect.objectContaining({ code: 'expression_invalid', message: expect.stringMatching(/at character \d+/) }),
  )
  expect(() => parseTemplate('a {{ payload.age')).toThrow('"{{" at character 2 has no "}}"')
})

// Where its time is the square of its length, such a text takes more than ten minutes.
test.each([
  ['never closed', '{{ payload.age }}'.concat(' {{'.repeat(700_000)), '"{{" at character 18 has no "}}"'],
  ['closed again and again', '{{'.concat('}}'.repeat(1_000_000)), /it has 1999998 characters, and 32768 are allowed/],
])('a text of two million characters whose expression is %s is looked through once', (_, text, words) => {
  expect(() => parseTemplate(text)).toThrow(words)
})

test.each([
  ['a plain path', `payload${'.a'.repeat(20_000)}`],
  ['JSONata', `[${'1,'.repeat(20_000)}1]`],
])('an expression that is too long is refused when it is read, be it %s', (_, source) => {
  for (const text of [`{{${source}}}`, `in a text: {{${source}}}`]) {
    const message = `": it has ${source.length} characters, and 32768 are allowed, at character 32768`
    expect(() => parseTemplate(text)).toThrow(
      expect.objectContaining({ code: 'expression_invalid', message: expect.stringContaining(message) }),
    )
  }
  expect(() => parseTemplate(`{{ [${'1,'.repeat(16_000)}1] }}`)).not.toThrow()
})

const cancelled = AbortSignal.abort(new Error('cancelled'))

test("a long list is put together apart, where it stands in nobody's way, though nothing in it takes its time", async () => {
  const list = (items: number) => parseTemplate(`{{ [${'1,'.repeat(items - 1)}1] }}`)
  expect(await list(3).evaluate(scope, cancelled)).toEqual([1, 1, 1])
  // What is no longer wanted is not asked for there.
  await expect(list(3_000).evaluate(scope, cancelled)).rejects.toThrow('cancelled')
  expect(await list(3_000).evaluate(scope)).toHaveLength(3_000)
})

test('a fault shows of a long expression, and of a long name in it, what stands around the place', () => {
  const faultOf = (source: string) => {
    try {
      parseTemplate(`{{${source}}}`)
    } catch (error) {
      return String(error)
    }
    return expect.fail('it is read')
  }
  const ones = '1,'.repeat(5_000)
  const fault = faultOf(`[${ones}paylod.age,${ones}1]`)
  expect(fault).toContain('1,paylod.age,1,')
  expect(fault).toMatch(/"\{\{\.\.\.1,.*1\.\.\.\}\}": "paylod" is not known here, at character 10007/)
  expect(fault.length).toBeLessThan(500)
  const name = 'n'.repeat(20_000)
  for (const source of [name, `$${name}`, `{"a" ${name}}`, `$sum(payload.age) ${name}`]) {
    expect(faultOf(source).length).toBeLessThan(1_000)
  }
})

test('what fails when it is evaluated shows of a long expression, and of the paths in it, no more either', async () => {
  const name = 'n'.repeat(5_000)
  const failure = await evaluate(`{{ [${'1,'.repeat(500)}payload.${name} & $number(payload.email), 2] }}`).catch(String)
  expect(failure).toContain('& $number(payload.email), 2]')
  expect(failure).toContain('Unable to cast value to a number')
  expect(String(failure).length).toBeLessThan(1_000)
  await expect(evaluate(`Hello {{ payload.${name} }}`)).rejects.toThrow(
    /^"\{\{ payload\.n+\.\.\.\}\}" inside a text gave/,
  )
})

test.each([
  [
    '{{ paylod.age }}',
    '"paylod" is not known here, at character 7, did you mean "payload"? (there are payload, run, step)',
  ],
  ['Hello {{ name }}', '"name" is not known here, at character 5 (there are payload, run, step)'],
  ['{{ payload.age > age }}', '"age" is not known here, at character 18'],
])('%s begins with what is not there, and is told so when it is read', (text, words) => {
  expect(() => parseTemplate(text)).toThrow(
    expect.objectContaining({ code: 'expression_invalid', message: expect.stringContaining(words) }),
  )
})

test.each([
  ['$sum', 'it must give JSON, but gives a function: $sum, at character 5'],
  ['payload.age > 1 ? $sum : 1', 'a function: $sum, at character 23'],
  ['{"total": [$sum]}', 'a function: $sum, at character 16'],
  ['($n := 1; function($x) { $x + $n })', 'a function: function, at character 20'],
  ['$substring(?, 1)', 'a function: a call with "?", at character 12'],
  ['/a+/', 'a function: a regular expression, at character 5'],
  ['$uppercas(payload.email)', '"$uppercas" is not known here, at character 10, did you mean "uppercase"?'],
  ['payload.tags[id = $wanted]', '"$wanted" is not known here, at character 26'],
  ['($count := 1; $coutn)', '"$coutn" is not known here, at character 21, did you mean "count"?'],
])('{{ %s }} can give no value, and is told so when it is read', (source, words) => {
  expect(() => parseTemplate(`{{ ${source} }}`)).toThrow(
    expect.objectContaining({ code: 'expression_invalid', message: expect.stringContaining(words) }),
  )
})

test.each([
  ['($sum := 7; $sum)', 7],
  ['payload.tags@$tag.$tag.id', [1, 2]],
  ['payload.tags#$place.$place', [0, 1]],
  ['payload.tags.id ~> $sum', 3],
  ['($f := function($n) { $n > 1 ? $n * $f($n - 1) : 1 }; $f(4))', 24],
  ['($eval("$found := 5"); $found)', 5],
  ['$$.payload.tags[$.id = 2].id', 2],
])('{{ %s }} names what it reads itself', async (source, value) => {
  expect(await evaluate(`{{ ${source} }}`)).toEqual(value)
})

test.each([
  ['(', 'Expected ")" before end of expression, at character 3'],
  ['{"a" 1}', 'Expected ":", got 1, at character 7'],
])('what JSONata cannot read in {{ %s }} is told in words', (source, words) => {
  expect(() => parseTemplate(`{{ ${source} }}`)).toThrow(words)
})

test.each([
  ['payload.email + 1', 'The left side of the "+" operator must evaluate to a number, at character 16'],
  ['$number(payload.email)', 'Unable to cast value to a number, at character 9'],
  ['{payload.company: 1}', 'Key in object structure must evaluate to a string, at character 2'],
  ['payload.email < 1', 'The values on the two sides of a comparison must be of the same data type, at character 16'],
  ['$toMillis(payload.email)', 'must be an ISO 8601 formatted timestamp, at character 11'],
  ['$formatBase(1, 80085)', 'must be between 2 and 36, at character 13'],
  ['[1..2080085]', 'A sequence may have 1000000 items, at character 5'],
  ['$power(10, payload.age * 80085)', 'cannot be represented as a JSON number, at character 8'],
  ['$string(payload.age / 0)', 'Attempting to invoke string function on Infinity or NaN, at character 9'],
  ['payload.email()', 'Attempted to invoke a non-function, at character 15'],
  ['payload.email ~> $sum', 'Argument 1 of the function that is called must be an array of "numbers"'],
  ['(function($x)<s:s>{ $x })(payload.age)', 'Argument 1 of the function that is called does not match'],
  ['$error("no lead: " & payload.email)', 'The $error function was called, at character 8'],
  ['$assert(payload.age > 99, "no lead: " & payload.email)', 'What the $assert function was given is false, at char'],
  ['$eval("$error(payload.email)")', 'Dynamic error evaluating the expression passed to function eval, at character 7'],
])('{{ %s }} fails in words, with the place and without a value of the payload', async (source, words) => {
  const failure = await evaluate(`{{ ${source} }}`).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'expression_failed', message: expect.stringContaining(words) })
  expect(String(failure).replace(source, '')).not.toMatch(/ana@|Acme|80085/)
})

test.each([
  ['1 / 0', 'Infinity'],
  ['payload.age % 0', 'NaN'],
  ['{"a": [1, payload.age / 0]}', 'Infinity within it'],
  ['$sum(payload.tags.id) / 0', 'Infinity'],
  ['$map(payload.tags, function($tag) { $tag.id / 0 })', 'Infinity within it'],
  ['payload.tags.$sum', 'a function within it'],
  ['($f := function($n) { $n }; $f)', 'a function'],
  ['($own := $sum; {"own": $own})', 'a function within it'],
])('{{ %s }} fails its job, since JSON has no %s', async (source, found) => {
  for (const text of [`{{ ${source} }}`, `age: {{ ${source} }}`]) {
    const failure = await evaluate(text).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'expression_failed', final: true })
    expect(String(failure)).toContain(`"{{ ${source} }}": it must give JSON, but gives ${found}`)
  }
})

test.each(['$fromMillis(1e20)', '$fromMillis(payload.age / 0)', '$map([payload.age * -1e18], $fromMillis)'])(
  '{{ %s }} fails its job in words, and gives no text that reads like a time',
  async (source) => {
    await expect(evaluate(`{{ ${source} }}`)).rejects.toMatchObject({
      code: 'expression_failed',
      message: expect.stringContaining('fromMillis function must be within 8640000000000000 ms of 1970'),
    })
  },
)

test.each([
  '$now("[Y]", "America/Sao_Paulo")',
  '$now("[Y]", payload.email)',
  '[1..2].$now("[Y]", "Z")',
  '$fromMillis(payload.age, "[Y]", "America/Sao_Paulo")',
  '$fromMillis(payload.age, "[H]", "+2")',
])('{{ %s }} fails its job in words, and gives no text of a time that is not known', async (source) => {
  const failure = await evaluate(`{{ ${source} }}`).catch((error: unknown) => error)
  expect(failure).toMatchObject({
    code: 'expression_failed',
    message: expect.stringMatching(/must be its offset from UTC, such as "-0300": names of .*, at character \d+/),
  })
  expect(String(failure)).not.toContain('ana@')
})

test.each(['', '[true]'])('$now gives this moment, in the zone that is asked for%s', async (apart) => {
  const before = Date.now()
  const [now, there, millis] = await Promise.all(
    ['$now()', '$now("[Y]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z]", "-0300")', '$millis()'].map((source) =>
      evaluate(`{{ (${source})${apart} }}`),
    ),
  )
  expect(now).toMatch(/^[-\dT:.]+Z$/)
  expect(there).toMatch(/-03:00$/)
  for (const moment of [Date.parse(String(now)), Date.parse(String(there)), Number(millis)]) {
    expect(moment).toBeGreaterThanOrEqual(before)
    expect(moment).toBeLessThanOrEqual(Date.now())
  }
})

test('a time that a date may have is written, by the picture and in the zone that are asked for', async () => {
  expect(await evaluate('{{ $fromMillis(payload.age) }}')).toBe('1970-01-01T00:00:00.031Z')
  expect(await evaluate('{{ $fromMillis(0, "[Y]-[M01]-[D01] [H01]h", "-0300") }}')).toBe('1969-12-31 21h')
  expect(await evaluate('{{ payload.age.$fromMillis() }}')).toBe('1970-01-01T00:00:00.031Z')
  expect(await evaluate('{{ $fromMillis(payload.missing) }}')).toBeUndefined()
})

test('what the library did not mean to throw is told by its name, which has no value of the payload', async () => {
  let deep: unknown = 'ana@example.com'
  for (let depth = 0; depth < 5_000; depth += 1) deep = [deep]
  const template = parseTemplate('{{ {"deep": payload} }}')
  await expect(template.evaluate({ ...scope, payload: deep })).rejects.toThrow(/it cannot be evaluated \(RangeError\)/)
})

/** So many lists within each other. */
const lists = (levels: number): unknown => {
  let nested: unknown = 'ana@example.com'
  for (let level = 0; level < levels; level += 1) nested = [nested]
  return nested
}

test.each([
  ['a plain path', '{{ payload.age }}', 'the payload'],
  ['what runs apart', '{{ payload[true] }}', 'the payload'],
  ['what is put into a text', 'all of {{ payload }}', 'what it gives'],
])('a payload that is nested too deeply for %s fails its job, and is told by its levels', async (_, text, what) => {
  const failure = await (async () => parseTemplate(text).evaluate({ ...scope, payload: lists(50_000) }))().catch(
    (error: unknown) => error,
  )
  expect(failure).toMatchObject({ code: 'expression_failed', final: true })
  const words = `${what} is nested too deeply: it has 50000 levels, and 1000 are expected at most`
  expect(failure).toHaveProperty('message', expect.stringContaining(words))
  // What is expected at most is looked through by all of them.
  await parseTemplate(text).evaluate({ ...scope, payload: lists(1_000) })
})

test('what fails is told also where the types of what it read are too deep to be found', async () => {
  const failing = parseTemplate('{{ $number(payload.email) + $string(payload.age) }}')
  await expect(failing.evaluate({ ...scope, payload: lists(50_000) })).rejects.toMatchObject({
    code: 'expression_failed',
    message: expect.stringContaining('payload.age cannot be told: it is within too many lists'),
  })
})

test('what fails tells the types of the values that it read, as far as paths lead', async () => {
  const failure = await evaluate('{{ payload.email + payload.age * $count(payload.tags[id > run.id]) }}').catch(String)
  expect(failure).toMatch(/\(payload\.email is a string, payload\.age is a number, payload\.tags is an array\)$/)
})

test.each([
  ['$base64encode(payload.email)', 'YW5hQGV4YW1wbGUuY29t'],
  ['payload.tags[id > 1]', { id: 2 }],
  ['payload.tags[id > 2]', undefined],
  ['payload.none', null],
  ['$map([1..3], function($n) { $n * 2 })', [2, 4, 6]],
])('%s gives the same in a process apart', async (source, value) => {
  expect(await evaluate(`{{ (${source})[true] }}`)).toEqual(value)
})
