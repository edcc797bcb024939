export { pack, publishedFolders } from './pack.ts'
