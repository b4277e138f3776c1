/** Calls `flush` once before the next frame, however often it is asked; in a hidden tab, ten times a second. */
export function oncePerFrame(flush: () => void): (() => void) & { cancel(): void } {
  let frame: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const cancel = () => {
    if (frame !== undefined) cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = undefined;
  };
  const run = () => {
    cancel();
    flush();
  };
  const ask = () => {
    if (timer !== undefined) return;
    if (!document.hidden) frame = requestAnimationFrame(run);
    // A hidden tab gets no frames, and one that is hidden just now never gets the frame it asked for.
    timer = setTimeout(run, 100);
  };
  return Object.assign(ask, { cancel });
}
