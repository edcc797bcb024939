export { buildImages, type BuiltImage } from './build-images.ts'
export { buildah, type Buildah, type ImageConfig } from './engine/buildah.ts'
export { findEngine } from './engine/find-engine.ts'
export type { Engine } from './engine/engine.ts'
