import { hash } from 'node:crypto'
import type { Places } from './places.ts'

/** A contact as `GET /platform/segmentations/{id}/contacts` lists it. */
export type StandInContact = {
  uuid: string
  name: string
  email: string
  last_conversion_date: string
  created_at: string
  links: { rel: string; href: string; media: string; type: string }[]
}

/**
 * The contact at an index of a segmentation. It is computed from the seed alone, so the same three values always give
 * the same contact, and a segmentation of a million contacts takes no memory.
 */
export const contactAt = (seed: string, segmentationId: number, index: number): StandInContact => {
  const digest = hash('sha256', `${seed}:${segmentationId}:${index}`, 'buffer')
  const uuid = uuidOf(digest)
  const [first, second, third] = [
    pick(firstNames, digest.readUInt16BE(16)),
    pick(surnames, digest.readUInt16BE(18)),
    pick(surnames, digest.readUInt16BE(20)),
  ]
  const created = firstDay + (digest.readUInt32BE(22) % createdWithinSeconds) * 1000 + (digest.readUInt16BE(26) % 1000)
  const converted = created + (digest.readUInt32BE(28) % convertedWithinSeconds) * 1000
  return {
    uuid,
    name: `${first} ${second} ${third}`,
    // Index and segmentation make it unique; example.com is reserved, so that nobody can be written to by accident.
    email: `${mailName(first)}.${mailName(third)}.${index}@s${segmentationId}.example.com`,
    last_conversion_date: inBrasilia(converted),
    created_at: inBrasilia(created),
    links: [
      {
        rel: 'SELF',
        href: `https://api.rd.services/platform/contacts/${uuid}`,
        media: 'application/json',
        type: 'GET',
      },
    ],
  }
}

/** The contacts of one page, the first page being 1. A page behind the last contact is empty. */
export const contactsOnPage = (
  seed: string,
  segmentationId: number,
  { page, pageSize, total }: { page: number; pageSize: number; total: number },
  { contactAt: indexAt }: Pick<Places, 'contactAt'> = inOrder,
): StandInContact[] => {
  const from = (page - 1) * pageSize
  const count = Math.max(0, Math.min(pageSize, total - from))
  return Array.from({ length: count }, (_, offset) => contactAt(seed, segmentationId, indexAt(from + offset)))
}

const inOrder = { contactAt: (place: number) => place }

const firstDay = Date.UTC(2021, 0, 1)
const createdWithinSeconds = 3 * 365 * 86_400
const convertedWithinSeconds = 300 * 86_400

/** The API writes times in Brasília's offset, which has been three hours all year round since 2019. */
const inBrasilia = (time: number): string => new Date(time - 3 * 3_600_000).toISOString().replace('Z', '-03:00')

/** Version 4 in form: the bits that say so are set in an otherwise even digest. */
const uuidOf = (digest: Buffer): string => {
  const bytes = Buffer.from(digest.subarray(0, 16))
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const mailName = (name: string): string =>
  name
    .normalize('NFD')
    .replace(/[^a-z]/gi, '')
    .toLowerCase()

const pick = (names: readonly string[], number: number): string => names[number % names.length] ?? ''

const firstNames = (
  'Ana Beatriz Camila Daniela Eduarda Fernanda Gabriela Helena Isabela Júlia Larissa Letícia Luana Luíza ' +
  'Mariana Natália Patrícia Rafaela Sofia Vitória André Antônio Bruno Caio Carlos Diego Eduardo Felipe ' +
  'Gustavo Henrique Igor João José Leandro Lucas Marcelo Matheus Otávio Paulo Rodrigo Thiago Vinícius'
).split(' ')

const surnames = (
  'Almeida Alves Araújo Azevedo Barbosa Barros Batista Borges Campos Cardoso Carvalho Castro Correia Costa ' +
  'Cunha Dias Duarte Farias Fernandes Ferreira Freitas Gomes Gonçalves Lima Lopes Machado Marques Martins ' +
  'Melo Mendes Monteiro Moraes Moreira Moura Nascimento Nogueira Nunes Oliveira Pereira Pinto Ramos ' +
  'Ribeiro Rocha Santos Silva Souza Teixeira Vieira'
).split(' ')
