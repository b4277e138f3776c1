/**
 * A UUID of version 7: ids made later sort later. `crypto.randomUUID` is absent on plain http:// addresses other
 * than localhost, so only `getRandomValues` is used.
 */
export function uuidV7(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** A short readable name for a new workflow, such as `wf-k3x9-7hq2m`. */
export function suggestWorkflowId(now: number = Date.now()): string {
  const noise = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return `wf-${now.toString(36).slice(-6)}-${noise.toString(36).padStart(5, '0').slice(-5)}`;
}
