export { faultsOfParams, type ParamFault } from './faults-of-params.ts'
export { isSqlLoaded, loadSql } from './grammar.ts'
export { type ReadStatement, readStatement } from './read-statement.ts'
export type { Statement } from './statement.ts'
