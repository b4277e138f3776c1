// Filter, search, order, pages and deep links.
import assert from 'node:assert/strict';
import { openList, rows } from '../pages.mjs';
import { until } from '../wait.mjs';

const WORKFLOWS = 60;

export const name = 'list: filter, search, order and pages';

export async function run({ browser, url, api, unique }) {
  const prefix = unique('list');
  const ids = Array.from({ length: WORKFLOWS }, (_, i) => `${prefix}-${String(i).padStart(2, '0')}`);
  await api.dispatch(ids.map((workflowId) => ({ startWorkflow: { workflowId, definition: 'e2e-list', initiator: 'e2e' } })));
  await api.execute({ cancelWorkflow: { workflowId: await started(api, ids[7]), reason: 'e2e' } });
  await Promise.all(ids.map((id) => started(api, id)));

  const context = await browser.newContext();
  const page = await context.newPage();
  await openList(page, url);
  await page.fill('[data-testid="search"]', prefix);
  await page.selectOption('[data-testid="order"]', 'ID_ASC');
  await until('the address names the search', () => new URL(page.url()).searchParams.get('q') === prefix);
  const shows = (what, wanted) => until(what, async () => Object.keys(await rows(page)).sort().join() === wanted.join());
  await shows('the first page in order of ids', ids.slice(0, 50));
  await page.click('[data-testid="page-next"]');
  await shows('the second page', ids.slice(50));
  await page.click('[data-testid="page-previous"]');
  await shows('the first page again', ids.slice(0, 50));

  await page.click('[data-testid="count-cancelled"]');
  await shows('the cancelled one', [ids[7]]);
  await page.reload();
  await shows('the same after a reload, from the address', [ids[7]]);
  await page.click('[data-testid="workflow-row"] a');
  await page.waitForSelector('[data-testid="workflow-status"][data-status="CANCELLED"]');
  await page.goBack();
  await shows('the same after going back', [ids[7]]);

  await page.goto(new URL('/workflow/there-is-none', url).href);
  await page.waitForSelector('[data-testid="workflow-missing"]');
  assert.equal(await page.locator('[data-testid="workflow-status"]').count(), 0);
  await context.close();
}

async function started(api, id) {
  await until(`${id} is there`, async () => (await api.version(id)) > 0);
  return id;
}
