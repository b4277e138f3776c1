export type Route = { page: 'list' } | { page: 'workflow'; id: string } | { page: 'missing'; path: string };

/** The page that a path names. */
export function parsePath(path: string): Route {
  if (path === '/' || path === '') return { page: 'list' };
  const encoded = /^\/workflow\/([^/]+)\/?$/.exec(path)?.[1];
  if (encoded === undefined) return { page: 'missing', path };
  try {
    return { page: 'workflow', id: decodeURIComponent(encoded) };
  } catch {
    return { page: 'missing', path };
  }
}

/** The address of a workflow's page, for any id. */
export function workflowPath(id: string): string {
  return `/workflow/${encodeURIComponent(id)}`;
}

/** Where the reader is, by the History API: every address can be shared, and back goes back. */
export class Router {
  #path = $state('/');
  #query = $state('');
  readonly route: Route = $derived(parsePath(this.#path));

  constructor() {
    this.#read();
    window.addEventListener('popstate', () => this.#read());
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#query);
  }

  go(url: string): void {
    history.pushState(null, '', url);
    this.#read();
    window.scrollTo(0, 0);
  }

  /** Notes the list's filter in the address without a step in the history. */
  replaceQuery(query: URLSearchParams): void {
    const text = query.toString();
    history.replaceState(history.state, '', text === '' ? location.pathname : `${location.pathname}?${text}`);
    this.#query = text;
  }

  /** Follows plain clicks on our own links without loading the page anew; all others stay the browser's. */
  follow = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const anchor = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null;
    if (anchor === null || anchor.target !== '' || anchor.hasAttribute('download') || anchor.origin !== location.origin) return;
    event.preventDefault();
    if (anchor.href !== location.href) this.go(anchor.pathname + anchor.search);
  };

  #read(): void {
    this.#path = location.pathname;
    this.#query = location.search.replace(/^\?/, '');
  }
}
