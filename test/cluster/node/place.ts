/** What of a machine a node has for itself; nodes in other slots have others. */
export type Place = ReturnType<typeof placeOf>

/** How many nodes a machine may have at a time. */
export const slots = 8

/**
 * The addresses of a node: its pods, itself and this machine hang on one bridge, which is the node's own, so that each
 * reaches each and nobody anything else.
 */
export const placeOf = (slot: number) => {
  const first = `10.${88 + slot}`
  return {
    slot,
    pods: `${first}.0.0/17`,
    firstPod: `${first}.0.10`,
    lastPod: `${first}.127.250`,
    services: `${first}.128.0/24`,
    /** The API server's own. */
    firstService: `${first}.128.1`,
    node: `${first}.0.1`,
    /** What pods find this machine at: servers that they are to reach listen there. */
    machine: `${first}.0.2`,
    /** The end of the link to the node that is the machine's; it goes with the node's namespace. */
    link: `esteira-node-${slot}`,
    /** The cgroup that all its containers are in, and nothing else is. */
    group: `esteira-node-${slot}`,
  }
}
