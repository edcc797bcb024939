import type { Means } from '../tools/cache.ts'
import { writeProgramImage } from './program-image.ts'

/** The image of one static program: of every pod's sandbox, and of pods that need no program of Esteira. */
export const podImage = 'localhost/esteira-pod:1'

/** Writes it as an archive; the archive's file. */
export const writePodImage = (means: Means, { program, folder }: { program: string; folder: string }) =>
  writeProgramImage(means, {
    image: podImage,
    files: [program],
    folder,
    config: { Entrypoint: ['/pod'], Cmd: ['hold'] },
  })
