import { join } from 'node:path'
import { bundleTick } from './bundle.ts'

await bundleTick(join(import.meta.dirname, '../dist/main.js'))
