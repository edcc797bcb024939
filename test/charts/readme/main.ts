import { writeFileSync } from 'node:fs'
import { chartsWithReadme, readmeOf, renewed } from './readmes.ts'

for (const chart of chartsWithReadme) writeFileSync(readmeOf(chart), renewed(chart))
