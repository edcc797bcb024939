/** What the exit codes of the cron-job program say with which trying again cannot help; its page has them all. */
export const finalExits: Readonly<Record<number, string>> = {
  2: 'its environment is not complete',
  11: 'the step is unknown',
  12: 'the step was deleted',
  13: 'the workflow is disabled',
  14: 'the payload does not fit the outputType; the run is there, with its failed job',
  15: 'the config is not valid',
  16: 'the payload is too large',
}
