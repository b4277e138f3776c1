/**
 * Asks again and again until `probe` gives something, and tells after `ms` what it was waiting for.
 * @template T
 * @param {string} what
 * @param {() => Promise<T | false | null | undefined> | T | false | null | undefined} probe
 * @returns {Promise<T>}
 */
export async function until(what, probe, ms = 15_000) {
  const end = Date.now() + ms;
  let failure;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`, { cause: failure });
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
