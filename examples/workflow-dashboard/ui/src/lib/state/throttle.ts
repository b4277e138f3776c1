/**
 * Runs `task` at most once in `ms`, and at the end of each burst of calls; never twice at the same time.
 * `cancel` forgets a run that has not begun.
 */
export function throttle(task: () => Promise<unknown>, ms: number): (() => void) & { cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let again = false;

  const run = async () => {
    timer = undefined;
    running = true;
    again = false;
    try {
      await task();
    } catch {
      // The task shows its own failures; the next change asks again.
    }
    running = false;
    if (again) timer ??= setTimeout(run, ms);
  };
  const call = () => {
    again = true;
    if (!running) timer ??= setTimeout(run, ms);
  };
  const cancel = () => {
    clearTimeout(timer);
    timer = undefined;
    again = false;
  };
  return Object.assign(call, { cancel });
}
