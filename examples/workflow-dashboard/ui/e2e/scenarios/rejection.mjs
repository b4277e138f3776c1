// What the server refuses is shown at first, then taken back, and the page says why.
import assert from 'node:assert/strict';
import { detailBecomes, openDetail, openList, outcome, startByForm } from '../pages.mjs';

export const name = 'a rejection shows and rolls back';

export async function run({ browser, url, api, unique }) {
  const workflowId = unique('refused');
  await api.start(workflowId);
  const context = await browser.newContext();
  const page = await context.newPage();
  await openDetail(page, url, workflowId);

  await page.click('[data-testid="action-cancelWorkflow"]');
  await page.fill('[data-testid="action-reason"]', 'too late');
  await page.check('[data-testid="action-expected"]');
  await api.execute({ startStep: { workflowId, step: 'meanwhile' } });
  await detailBecomes(page, { version: 2, status: 'RUNNING' });

  await page.evaluate(() => {
    const seen = (window.seenStatuses = []);
    const status = document.querySelector('[data-testid="workflow-status"]');
    new MutationObserver(() => seen.push(status.dataset.status)).observe(status, { attributes: true });
  });
  await page.click('[data-testid="action-submit"]');
  const { kind, text } = await outcome(page);
  assert.equal(kind, 'rejected');
  const code = await page.getAttribute('[data-testid="commands"] [data-testid="action-error"]', 'data-code');
  assert.match(code, /conflict|version/i, text);
  assert.ok(text.length > code.length + 10, 'a sentence says why');
  await detailBecomes(page, { version: 2, status: 'RUNNING' });
  assert.deepEqual(await page.evaluate('window.seenStatuses'), ['CANCELLED', 'RUNNING'], 'shown at first, then taken back');

  await openList(page, url);
  await startByForm(page, { workflowId, definition: 'e2e', initiator: 'e2e', params: '' });
  const refused = page.locator('[data-testid="start-form"] [data-testid="action-error"]');
  await refused.waitFor();
  assert.ok((await refused.innerText()).includes(workflowId), 'the sentence names the workflow');

  await page.fill('[data-testid="start-params"]', '{"amount": }');
  assert.match(await page.innerText('[data-testid="start-params-error"]'), /^Not valid JSON/);
  assert.ok(await page.isDisabled('[data-testid="start-submit"]'));
  await context.close();
}
