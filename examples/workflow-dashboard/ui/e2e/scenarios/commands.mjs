// A person starts a workflow and carries out every command; a second browser sees each change without a reload.
import assert from 'node:assert/strict';
import { act, count, detail, detailBecomes, openDetail, openList, rowBecomes, startByForm } from '../pages.mjs';
import { until } from '../wait.mjs';

export const name = 'every command, seen by a second browser';

export async function run({ browser, url, unique }) {
  const [mine, other] = await Promise.all([browser.newContext(), browser.newContext()]);
  const [page, list, watcher] = [await mine.newPage(), await other.newPage(), await other.newPage()];
  const workflowId = unique('order/1 ä');

  await openList(list, url, workflowId);
  await list.evaluate(() => Object.assign(window, { marked: true }));
  const totalBefore = await until('the counts are there', () => count(list, 'total').then((total) => Number.isFinite(total) && { total }));
  await openList(page, url);
  await startByForm(page, { workflowId, definition: 'e2e-order', initiator: 'e2e', params: '{"amount": 120}' });
  await page.click('[data-testid="start-result-link"]');
  await detailBecomes(page, { status: 'RUNNING', version: 1 });

  await list.click('[data-testid="new-pill"]');
  await rowBecomes(list, workflowId, { version: 1, status: 'RUNNING' });
  await until('the total has grown', async () => (await count(list, 'total')) > totalBefore.total);

  await openDetail(watcher, url, workflowId);
  await watcher.evaluate(() => Object.assign(window, { marked: true }));

  let version = 1;
  const step = async (kind, fields, status, check = {}) => {
    const { kind: came, text } = await act(page, kind, fields);
    assert.equal(came, 'confirmed', `${kind}: ${text}`);
    version += 1;
    await Promise.all([
      detailBecomes(page, { status, version }),
      detailBecomes(watcher, { status, version }),
      rowBecomes(list, workflowId, { status, version }),
    ]);
    for (const seen of [page, watcher]) {
      await until(`all events up to ${version} are listed`, async () => (await detail(seen)).events.length === version);
      const last = (await detail(seen)).steps.at(-1);
      for (const [key, value] of Object.entries(check)) assert.equal(last[key], value);
    }
  };
  await step('startStep', { step: 'pay' }, 'RUNNING', { step: 'pay', status: 'RUNNING', occurrence: '1' });
  await step('completeStep', { step: 'pay', output: '{"receipt": 7}' }, 'RUNNING', { status: 'COMPLETED' });
  await step('startStep', { step: 'pay' }, 'RUNNING', { step: 'pay', status: 'RUNNING', occurrence: '2' });
  await step('failStep', { step: 'pay', reason: 'the card was declined' }, 'FAILED', { status: 'FAILED' });
  await step('retryStep', { step: 'pay' }, 'RUNNING', { status: 'RUNNING', occurrence: '2' });
  await step('completeStep', { step: 'pay' }, 'RUNNING', { status: 'COMPLETED' });
  await step('completeWorkflow', {}, 'COMPLETED');
  assert.equal(await page.locator('[data-testid^="action-"][aria-expanded]').count(), 0, 'a completed workflow takes no command');

  const second = unique('order-2');
  await openList(page, url);
  await startByForm(page, { workflowId: second, definition: 'e2e-order', initiator: 'e2e', params: '' });
  await page.click('[data-testid="start-result-link"]');
  await detailBecomes(page, { status: 'RUNNING', version: 1 });
  assert.equal((await act(page, 'cancelWorkflow', { reason: 'changed my mind' })).kind, 'confirmed');
  await detailBecomes(page, { status: 'CANCELLED', version: 2 });

  for (const seen of [list, watcher]) assert.equal(await seen.evaluate('window.marked'), true, 'a page was loaded anew');
  await Promise.all([mine.close(), other.close()]);
}
