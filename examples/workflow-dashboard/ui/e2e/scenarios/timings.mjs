// How long a person waits: measured in the page, by when the DOM changed.
import assert from 'node:assert/strict';
import { act, detailBecomes, openDetail, openList, rowBecomes } from '../pages.mjs';
import { until } from '../wait.mjs';

const ROUNDS = 20;
const BUSY_MS = 3_000;
const BUSY_BATCH_MS = 100;

export const name = 'timings';

export async function run({ browser, url, api, unique }) {
  const context = await browser.newContext();
  const own = await ownCommands(await context.newPage(), url, api, unique('timing'));
  const others = await othersChanges(await context.newPage(), url, api, unique('pushed'));
  const framesPerSecond = await framesUnderLoad(await context.newPage(), url, api, unique('busy'));
  await context.close();
  assert.ok(own.optimistic.length === ROUNDS && others.length === ROUNDS);
  return {
    clickToOptimisticMs: summary(own.optimistic),
    clickToConfirmedMs: summary(own.confirmed),
    otherClientsChangeOnScreenMs: summary(others),
    framesPerSecondAt100ChangesASecond: framesPerSecond,
  };
}

async function ownCommands(page, url, api, workflowId) {
  await api.start(workflowId);
  await openDetail(page, url, workflowId);
  await detailBecomes(page, { version: 1 });
  await page.evaluate(() => {
    const timings = (window.timings = { sent: 0, optimistic: [], confirmed: [] });
    document.addEventListener('submit', () => (timings.sent = performance.now()), { capture: true });
    const version = document.querySelector('[data-testid="workflow-detail"]');
    let shown = version.dataset.version;
    new MutationObserver(() => {
      if (timings.sent > 0 && version.dataset.version !== shown && timings.optimistic.length === timings.confirmed.length) {
        timings.optimistic.push(performance.now() - timings.sent);
      }
      shown = version.dataset.version;
    }).observe(version, { attributes: true });
    const result = document.querySelector('[data-testid="commands"] [data-testid="action-result"]');
    new MutationObserver(() => {
      if (result.dataset.kind === 'confirmed') timings.confirmed.push(performance.now() - timings.sent);
    }).observe(result, { attributes: true, attributeFilter: ['data-kind'] });
  });
  for (let round = 0; round < ROUNDS; round++) {
    const kind = round % 2 === 0 ? 'startStep' : 'completeStep';
    assert.equal((await act(page, kind, { step: 'measure' })).kind, 'confirmed');
    await detailBecomes(page, { version: round + 2 });
  }
  return page.evaluate('window.timings');
}

async function othersChanges(page, url, api, workflowId) {
  await api.start(workflowId);
  await openList(page, url, workflowId);
  await rowBecomes(page, workflowId, { version: 1 });
  await page.evaluate(() => {
    const shownAt = (window.shownAt = {});
    const row = document.querySelector('[data-testid="workflow-row"]');
    new MutationObserver(() => (shownAt[row.dataset.version] ??= Date.now())).observe(row, { attributes: true });
  });
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const version = round + 2;
    const sentAt = Date.now();
    await api.execute(round % 2 === 0 ? { startStep: { workflowId, step: 'measure' } } : { completeStep: { workflowId, step: 'measure' } });
    const at = await until(`version ${version} is on screen`, () => page.evaluate((key) => window.shownAt[key], version));
    times.push(at - sentAt);
  }
  return times;
}

/** 100 changes a second to workflows on the page; how many frames a second the page still draws. */
async function framesUnderLoad(page, url, api, prefix) {
  const ids = Array.from({ length: 10 }, (_, i) => `${prefix}-${i}`);
  await api.dispatch(ids.map((workflowId) => ({ startWorkflow: { workflowId, definition: 'e2e-busy', initiator: 'e2e' } })));
  await openList(page, url);
  await until('the server has started them', async () => (await api.version(ids.at(-1))) > 0);
  const frames = page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const began = performance.now();
        let drawn = 0;
        const frame = () => {
          drawn += 1;
          if (performance.now() - began < ms) requestAnimationFrame(frame);
          else resolve(Math.round((drawn * 1_000) / (performance.now() - began)));
        };
        requestAnimationFrame(frame);
      }),
    BUSY_MS,
  );
  const end = Date.now() + BUSY_MS;
  for (let round = 0; Date.now() < end; round++) {
    const next = Date.now() + BUSY_BATCH_MS;
    await api.dispatch(ids.map((workflowId) => (round % 2 === 0 ? { startStep: { workflowId, step: 'busy' } } : { completeStep: { workflowId, step: 'busy' } })));
    // The load's own pace.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
  }
  return frames;
}

function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] * 10) / 10;
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}
