import { beforeEach, describe, expect, it } from 'vitest';
import { parsePath, Router, workflowPath } from '../src/lib/router.svelte';
import { readFilter, writeFilter } from '../src/lib/state/list.svelte';

describe('paths', () => {
  it('any id survives the way through an address', () => {
    for (const id of ['order-1', 'a/b', 'ä ö', '100%', 'x?y=#z', '%2F', '日本']) {
      expect(parsePath(new URL(workflowPath(id), 'http://x').pathname)).toEqual({ page: 'workflow', id });
    }
  });

  it('what names no page is said to be missing', () => {
    for (const path of ['/workflow/', '/workflow/a/b', '/other', '/workflow/%E0%A4%A']) {
      expect(parsePath(path)).toEqual({ page: 'missing', path });
    }
    expect(parsePath('/')).toEqual({ page: 'list' });
  });
});

describe('Router', () => {
  beforeEach(() => history.replaceState(null, '', '/'));

  it('follows plain clicks on own links and no others', () => {
    const router = new Router();
    const click = (html: string, init: MouseEventInit = {}) => {
      document.body.innerHTML = html;
      const event = new MouseEvent('click', { bubbles: true, cancelable: true, ...init });
      document.body.addEventListener('click', router.follow, { once: true });
      document.querySelector('b')?.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(click('<a href="/workflow/w"><b>w</b></a>', { ctrlKey: true })).toBe(false);
    expect(click('<a href="https://example.org/"><b>w</b></a>')).toBe(false);
    expect(click('<a href="/workflow/w" target="_blank"><b>w</b></a>')).toBe(false);
    expect(click('<b>w</b>')).toBe(false);
    expect(router.route).toEqual({ page: 'list' });
    expect(click('<a href="/workflow/w"><b>w</b></a>')).toBe(true);
    expect(router.route).toEqual({ page: 'workflow', id: 'w' });
  });

  it('keeps the filter in the address without a step in the history', () => {
    const router = new Router();
    const before = history.length;
    router.replaceQuery(writeFilter({ status: 'FAILED', search: 'a&b', orderBy: 'ID_ASC' }));
    expect(history.length).toBe(before);
    expect(readFilter(new Router().query)).toEqual({ status: 'FAILED', search: 'a&b', orderBy: 'ID_ASC' });
  });
});

describe('filter', () => {
  it('what an address names wrongly is the default', () => {
    const filter = readFilter(new URLSearchParams('status=LOST&order=toString'));
    expect(filter).toEqual({ status: null, search: '', orderBy: 'UPDATED_DESC' });
    expect(writeFilter(filter).toString()).toBe('');
  });
});
