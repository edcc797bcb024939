import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

const documents = globSync(['README.md', 'docs/**/*.md'], { cwd: root })

test.each(documents)('every relative link in %s leads to a file of this repository', (document) => {
  const targets = linksOf(document).map((link) => targetOf(document, link))
  expect(targets.filter((target) => target.startsWith('..') || !existsSync(join(root, target)))).toEqual([])
})

test('the answers in English and in Portuguese have the same headings, and under each the same links to code', () => {
  const english = outlineOf('docs/answers.md')
  expect(english.filter(({ code }) => code.length > 0).length, 'sections that link to code').toBeGreaterThan(5)
  expect(outlineOf('docs/pt/respostas.md')).toEqual(english)
})

/** What two translations of a page have in common: the level of each heading, and the code that its section links to. */
const outlineOf = (document: string): { level: number; code: string[] }[] =>
  proseOf(document)
    .split(/^(?=#{1,6} )/m)
    .map((section) => ({
      level: /^#*/.exec(section)?.[0].length ?? 0,
      code: [...new Set(linksIn(section).map((link) => targetOf(document, link)))]
        .filter((target) => !target.startsWith(`docs${sep}`))
        .toSorted(),
    }))

const linksOf = (document: string): string[] => linksIn(proseOf(document))

/** Relative links, inline ones and definitions, without those to a heading of the same page. */
const linksIn = (text: string): string[] =>
  [...text.matchAll(/\]\(\s*<?([^\s)>]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm)]
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((link) => !link.startsWith('#') && !/^[a-z][a-z0-9+.-]*:/i.test(link))

/** The path from the root that a link leads to. One that leaves the repository begins with `..`. */
const targetOf = (document: string, link: string): string => {
  const path = decodeURIComponent(link.replace(/[#?].*$/, ''))
  return relative(root, resolve(root, dirname(document), path))
}

/** The text without fenced code and code spans, where `#` and brackets mean other things. */
const proseOf = (document: string): string =>
  readFileSync(join(root, document), 'utf8')
    .replaceAll(/^ *(`{3,}|~{3,})[\s\S]*?^ *\1.*$/gm, '')
    .replaceAll(/`(?:[^`\n]|\n(?!\n))*`/g, '')
