import { pack } from './pack.ts'

process.stdout.write(`${await pack(process.cwd())}\n`)
