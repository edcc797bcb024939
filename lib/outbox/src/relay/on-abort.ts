/** Calls back when the signal is aborted, at once if it is already. Returns what takes the listener away. */
export const onAbort = (signal: AbortSignal, callBack: () => void): (() => void) => {
  if (signal.aborted) callBack()
  else signal.addEventListener('abort', callBack, { once: true })
  return () => signal.removeEventListener('abort', callBack)
}
