import { join } from 'node:path'
import { bundleRelay } from './bundle.ts'

await bundleRelay(join(import.meta.dirname, '../dist/main.js'))
