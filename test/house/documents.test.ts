import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { exitCodes } from '@esteira/service'
import { cronJobConfig, jobErrorCodes } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { tickExitCodes } from '../../workers/cron-job/src/exit-codes.ts'

const root = resolve(import.meta.dirname, '../..')

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const documents = globSync('**/*.md', { cwd: root, exclude: ['**/node_modules/**', '**/dist/**', '**/.esteira/**'] })

const english = 'docs/answers.md'
const portuguese = 'docs/pt/respostas.md'

test.each(documents)('every relative link in %s leads to a file of this repository, and to a heading in it', (page) => {
  expect(linksOf(page).filter((link) => !isWhole(page, link))).toEqual([])
})

test.each([
  { page: english, translated: portuguese, sections: 6, blocks: 2 },
  { page: 'docs/write-a-function.md', translated: 'docs/pt/escreva-uma-function.md', sections: 1, blocks: 10 },
  { page: 'docs/kubernetes.md', translated: 'docs/pt/kubernetes.md', sections: 4, blocks: 7 },
])('$translated has the headings of $page, and under each the same links to code and code blocks', (pair) => {
  const outline = outlineOf(pair.page)
  const withCode = outline.filter(({ code }) => code.length > 0)
  expect(withCode.length, 'sections that link to code').toBeGreaterThanOrEqual(pair.sections)
  expect(outline.flatMap(({ blocks }) => blocks).length, 'code blocks').toBeGreaterThanOrEqual(pair.blocks)
  expect(outlineOf(pair.translated)).toEqual(outline)
})

test.each([english, portuguese])('%s names every table', (page) => {
  const tables = [...read('migrations/schema.sql').matchAll(/^create (?:unlogged )?table (\w+)/gm)].map(
    (match) => match[1],
  )
  expect(tables.length).toBeGreaterThan(10)
  const text = read(page)
  expect(tables.filter((table) => !text.includes(`\`${table}\``))).toEqual([])
})

test('the page of CronJob has every member of its config, and every code that its program ends with, and no other', () => {
  const page = read('docs/functions/cron-job.md')
  const firstCells = [...page.matchAll(/^\| (?:`(\w+)`|(\d+)) +\|/gm)].map(([, member, code]) => member ?? Number(code))
  const members = Object.keys(cronJobConfig.shape)
  const codes = [...Object.values(exitCodes), ...Object.values(tickExitCodes)]
  expect(firstCells).toEqual(expect.arrayContaining([...members, ...codes]))
  expect(firstCells).toHaveLength(members.length + codes.length)
  for (const [name, code] of Object.entries(tickExitCodes)) {
    const told = name === 'payloadDoesNotFit' ? 'output_invalid' : name
    expect(page).toMatch(new RegExp(`^\\| ${code} +\\| \`${told}\`: `, 'm'))
  }
})

test('the README of @esteira/workflow has every code that the house gives the error of a job, and no other', () => {
  const [, section = ''] = read('lib/workflow/README.md').split('## What an error says')
  expect([...section.matchAll(/^\| `(\w+)` /gm)].map(([, code]) => code)).toEqual([...jobErrorCodes])
})

const fence = /^ *(`{3,}|~{3,})(.*)\n([\s\S]*?)^ *\1.*$/gm

/**
 * What two translations of a page have in common: the level of each heading, the code that its section links to, and its
 * code blocks. Those without a language are drawings, and may have words in them.
 */
const outlineOf = (page: string): { level: number; code: string[]; blocks: string[] }[] =>
  read(page)
    .split(/^(?=#{1,6} )/m)
    .map((section) => ({
      level: /^#*/.exec(section)?.[0].length ?? 0,
      code: [...new Set(linksIn(proseOf(section)).map((link) => targetOf(page, link)))]
        .filter((target) => !target.startsWith(`docs${sep}`))
        .toSorted(),
      blocks: [...section.matchAll(fence)].map(([, , language = '', text = '']) => (language === '' ? '' : text)),
    }))

const linksOf = (page: string): string[] => linksIn(proseOf(read(page)))

/** Relative links, inline ones and definitions. */
const linksIn = (text: string): string[] =>
  [...text.matchAll(/\]\(\s*<?([^\s)>]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm)]
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link))

const isWhole = (page: string, link: string): boolean => {
  const target = targetOf(page, link)
  const anchor = link.split('#')[1]
  if (target.startsWith('..') || !existsSync(join(root, target))) return false
  return anchor === undefined || !target.endsWith('.md') || anchorsOf(target).includes(decodeURIComponent(anchor))
}

/** The path from the root that a link leads to. One that leaves the repository begins with `..`. */
const targetOf = (page: string, link: string): string => {
  const path = decodeURIComponent(link.replace(/[#?].*$/, ''))
  return path === '' ? page : relative(root, resolve(root, dirname(page), path))
}

/** The anchors that GitHub gives to the headings of a page. */
const anchorsOf = (page: string): string[] =>
  [
    ...read(page)
      .replaceAll(fence, '')
      .matchAll(/^#{1,6} (.*)$/gm),
  ].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** The text without fenced code and code spans, where `#` and brackets mean other things. */
const proseOf = (text: string): string => text.replaceAll(fence, '').replaceAll(/`(?:[^`\n]|\n(?!\n))*`/g, '')
