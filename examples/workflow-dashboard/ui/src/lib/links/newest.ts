interface Entity {
  workflowId: string;
  version: number;
  [field: string]: unknown;
}

/**
 * The newest state seen of each workflow, whoever brought it.
 *
 * An answer may overtake or be overtaken by a push. `settle` puts the newest state seen in the place of an older one,
 * so that nothing a reader has seen is taken back. It never mixes two versions: a workflow of which more was asked for
 * than was ever seen of the newest version stays as it came. Bounded: the workflow heard of longest ago is forgotten first.
 */
export class Newest {
  readonly #seen = new Map<string, Entity>();
  readonly #max: number;

  constructor(max = 5_000) {
    this.#max = max;
  }

  /** The version seen last, 0 when none is known. */
  version(workflowId: string): number {
    return this.#seen.get(workflowId)?.version ?? 0;
  }

  /**
   * `data` with every older workflow brought up to date; the same object when nothing had to change. `onOlder` is called
   * for each that is known to be older and could not be: only the server can tell all of the newer version.
   */
  settle<T>(data: T, onOlder: () => void = () => undefined): T {
    return this.#walk(data, onOlder) as T;
  }

  /** True when `data` is about one workflow and only tells what was known in a newer version. */
  isStale(data: unknown): boolean {
    const entities = isObject(data) ? Object.values(data) : [];
    return entities.length > 0 && entities.every((entity) => isWorkflow(entity) && entity.version < this.version(entity.workflowId));
  }

  /** Forgets everything: another store, or the same one created anew, counts from the start. */
  clear(): void {
    this.#seen.clear();
  }

  #walk(value: unknown, onOlder: () => void): unknown {
    if (Array.isArray(value)) {
      const items = value.map((item) => this.#walk(item, onOlder));
      return items.some((item, i) => item !== value[i]) ? items : value;
    }
    if (!isObject(value)) return value;
    if (isWorkflow(value)) return this.#newest(value, onOlder);
    // Payloads are a person's own JSON: whatever they look like, they are not ours to change.
    if (value['__typename'] === 'WorkflowEvent') return value;
    let copy: Record<string, unknown> | undefined;
    for (const [key, field] of Object.entries(value)) {
      const settled = this.#walk(field, onOlder);
      if (settled !== field) copy = { ...(copy ?? value), [key]: settled };
    }
    return copy ?? value;
  }

  #newest(incoming: Entity, onOlder: () => void): Entity {
    const known = this.#seen.get(incoming.workflowId);
    if (known !== undefined && incoming.version < known.version) {
      const fields = Object.keys(incoming);
      if (fields.every((field) => Object.hasOwn(known, field))) {
        return Object.fromEntries(fields.map((field) => [field, known[field]])) as Entity;
      }
      onOlder();
      return incoming;
    }
    this.#seen.delete(incoming.workflowId);
    this.#seen.set(incoming.workflowId, known?.version === incoming.version ? { ...known, ...incoming } : incoming);
    if (this.#seen.size > this.#max) {
      const oldest = this.#seen.keys().next().value;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    return incoming;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isWorkflow(value: unknown): value is Entity {
  return (
    isObject(value) &&
    value['__typename'] === 'Workflow' &&
    typeof value['workflowId'] === 'string' &&
    typeof value['version'] === 'number'
  );
}
