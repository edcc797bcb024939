import type { Overlap } from '@esteira/workflow'

/**
 * The `concurrencyPolicy` of Kubernetes that carries out a step's `overlap`. It is `Allow` for each: a Job only writes the
 * run and ends, while the run goes on in the workers, and it is the tick that looks at open runs, under a lock.
 *
 * With `Forbid` a tick would leave no trace while the Job before it hangs (a node that is full, a relay that waits for
 * RabbitMQ), also where no run is open; `skip` leaves a run `skipped`. `Replace` would kill a Job before its run is
 * written; `cancel` ends a run, never a tick. docs/decisions/0039 has the argument.
 */
export const concurrencyPolicyOf = (overlap: Overlap): 'Allow' => policies[overlap]

const policies = { allow: 'Allow', skip: 'Allow', cancel: 'Allow' } as const satisfies Record<Overlap, string>
