import { join } from 'node:path'

/**
 * Where images are staged, and kept by buildah. Not in the data folder of `npm start`, which refuses one that holds anything
 * else.
 */
export const imagesFolder = join(import.meta.dirname, '.esteira')
