// axe-core finds no serious violation on list and detail, in both themes and at two widths.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { detailBecomes, openDetail, openList } from '../pages.mjs';

export const name = 'accessibility: no serious violations in both themes';

export async function run({ browser, url, api, unique }) {
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const workflowId = unique('axe');
  await api.start(workflowId);
  await api.execute({ startStep: { workflowId, step: 'ring' } });
  await api.execute({ failStep: { workflowId, step: 'ring', reason: 'nobody at home' } });

  const found = [];
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    for (const width of [1280, 390]) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      const check = async (where) => {
        // By evaluate, since the Content-Security-Policy blocks a script element.
        await page.evaluate(axe);
        const { violations } = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
        for (const { id, impact, nodes } of violations) {
          if (impact === 'serious' || impact === 'critical') found.push(`${where} ${colorScheme} ${width}: ${id}: ${nodes.map(({ html }) => html).join(' | ').slice(0, 300)}`);
        }
      };
      await openList(page, url);
      await page.waitForSelector('[data-testid="workflow-row"]');
      await page.click('[data-testid="system-toggle"]');
      await check('list');
      await openDetail(page, url, workflowId);
      await detailBecomes(page, { version: 3, status: 'FAILED' });
      await page.waitForSelector('[data-testid="state-at-version"]');
      await page.click('[data-testid="event-row"] button');
      await page.click('[data-testid="action-retryStep"]');
      await check('detail');
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `the detail is ${overflow} px too wide at ${width} px`);
      await context.close();
    }
  }
  assert.deepEqual(found, []);
}
