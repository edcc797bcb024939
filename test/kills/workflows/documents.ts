const insert = {
  connection: 'crm',
  sql: 'insert into applied (run, n) values ($1, $2)',
  params: ['{{ payload.run }}', '{{ payload.n }}'],
}

/** A server that is down for a while burns some attempts; none of these may fail for that. */
const retry = { maxAttempts: 100, backoff: 'fixed', delayMs: 500 }

/** Items page by page, each written into another database, then into Esteira's own. */
export const pagesWorkflow = {
  name: 'pages',
  automationType: 'step',
  steps: [
    { name: 'list', functionName: 'Kills.pages', nextStep: 'apply', outputType: 'multiple', retry },
    { name: 'apply', functionName: 'Database.query', config: insert, nextStep: 'save', outputType: null, retry },
    { name: 'save', functionName: 'Kills.save', retry },
  ],
}

/** More items than a window holds, without a cursor, each written into another database. */
export const itemsWorkflow = {
  name: 'items',
  automationType: 'step',
  steps: [
    { name: 'list', functionName: 'Kills.items', nextStep: 'apply', outputType: 'multiple', retry },
    { name: 'apply', functionName: 'Database.query', config: insert, retry },
  ],
}
