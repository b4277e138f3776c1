// A half-open connection, over which nothing comes and nothing breaks, is noticed and mended.
import assert from 'node:assert/strict';
import { live, openList, rowBecomes } from '../pages.mjs';

const NOTICED_MS = 20_000;

export const name = 'a frozen connection is noticed';

export async function run({ browser, url, proxy, api, unique }) {
  const workflowId = unique('frozen');
  await api.start(workflowId);
  const context = await browser.newContext();
  const page = await context.newPage();
  await openList(page, url, workflowId);
  await rowBecomes(page, workflowId, { version: 1 });

  proxy.freeze();
  const frozenAt = Date.now();
  await page.waitForSelector('[data-testid="connection-state"]:not([data-state="live"])', { timeout: NOTICED_MS });
  const noticedMs = Date.now() - frozenAt;
  await api.execute({ startStep: { workflowId, step: 'unseen' } });
  proxy.mend();
  await live(page);
  await rowBecomes(page, workflowId, { version: 2 });
  assert.ok(noticedMs < NOTICED_MS);
  await context.close();
  return { frozenNoticedMs: noticedMs };
}
