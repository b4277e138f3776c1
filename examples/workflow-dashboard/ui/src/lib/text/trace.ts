/** A W3C trace context: https://www.w3.org/TR/trace-context/ */
export interface Trace {
  /** 32 hexadecimal digits, never all zero. */
  traceId: string;
  /** The header's value, `00-<trace id>-<span id>-01`. */
  traceparent: string;
}

/** A new sampled trace. */
export function newTrace(random: (bytes: Uint8Array) => Uint8Array = fill): Trace {
  const traceId = hex(random, 16);
  return { traceId, traceparent: `00-${traceId}-${hex(random, 8)}-01` };
}

function fill(bytes: Uint8Array): Uint8Array {
  return crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
}

function hex(random: (bytes: Uint8Array) => Uint8Array, length: number): string {
  let bytes = random(new Uint8Array(length));
  // An id of zeros means "none" to the standard.
  while (bytes.every((byte) => byte === 0)) bytes = fill(new Uint8Array(length));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
