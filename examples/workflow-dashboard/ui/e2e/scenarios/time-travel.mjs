// The state at any version and the difference between two, while the newest state stays what it is.
import assert from 'node:assert/strict';
import { detailBecomes, openDetail } from '../pages.mjs';

export const name = 'state at any version, and the difference between two';

export async function run({ browser, url, api, unique }) {
  const workflowId = unique('travel');
  await api.start(workflowId);
  await api.execute({ startStep: { workflowId, step: 'pack' } });
  await api.execute({ completeStep: { workflowId, step: 'pack', output: { boxes: 2 } } });

  const context = await browser.newContext();
  const page = await context.newPage();
  await openDetail(page, url, workflowId);
  await detailBecomes(page, { version: 3 });
  const at = (version) => page.locator(`[data-testid="state-at-version"][data-version="${version}"]`);
  await at(3).waitFor();
  assert.deepEqual(await changes(page), ['steps[0].status']);

  await page.focus('[data-testid="version-slider"]');
  await page.keyboard.press('ArrowLeft');
  await at(2).waitFor();
  assert.match(await at(2).innerText(), /"status": "RUNNING"/);
  assert.doesNotMatch(await at(2).innerText(), /"boxes"/);
  await page.keyboard.press('Home');
  await at(1).waitFor();
  assert.match(await at(1).innerText(), /"steps": \[\]/);
  await detailBecomes(page, { version: 3 });
  await context.close();
}

function changes(page) {
  return page
    .locator('[data-testid="diff-change"]')
    .evaluateAll((items) => items.map(({ dataset }) => dataset.path).filter((path) => path === 'steps[0].status'));
}
