import { createSubscriber } from 'svelte/reactivity';

let now = Date.now();
const track = createSubscriber((update) => {
  const timer = setInterval(() => {
    now = Date.now();
    update();
  }, 1_000);
  return () => clearInterval(timer);
});

/** The time, anew each second, for whoever shows an age; no timer runs while nobody does. */
export function currentTime(): number {
  track();
  return Math.max(now, Date.now() - 1_000);
}
