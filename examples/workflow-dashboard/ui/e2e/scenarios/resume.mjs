// The connection is cut for three seconds while another client changes 20 workflows: nothing is lost, nothing repeated.
import assert from 'node:assert/strict';
import { recordFrames } from '../frames.mjs';
import { detail, detailBecomes, live, openDetail, openList, rows } from '../pages.mjs';
import { until } from '../wait.mjs';

const CUT_MS = 3_000;
const WORKFLOWS = 20;

export const name = `a connection cut for ${CUT_MS / 1_000} s loses and repeats nothing`;

export async function run({ browser, url, proxy, api, unique }) {
  const prefix = unique('resume');
  const ids = Array.from({ length: WORKFLOWS }, (_, i) => `${prefix}-${i}`);
  await Promise.all(ids.map((id) => api.start(id)));

  const context = await browser.newContext();
  const [list, one] = [await context.newPage(), await context.newPage()];
  const [listFrames, oneFrames] = [recordFrames(list), recordFrames(one)];
  await openList(list, url, prefix);
  await until('all rows are there', async () => Object.keys(await rows(list)).length === WORKFLOWS);
  await openDetail(one, url, ids[0]);

  await change(api, ids, 'before');
  await shown(api, list, ids, 3);
  await detailBecomes(one, { version: 3 });

  proxy.cut();
  const cutAt = Date.now();
  await list.waitForSelector('[data-testid="connection-state"]:not([data-state="live"])');
  const seenBefore = listFrames.changedPositions().at(-1);
  const versionBefore = oneFrames.updatedVersions().at(-1);
  await change(api, ids, 'during');
  // Not a wait for something to happen: this is how long the cut lasts.
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, CUT_MS - (Date.now() - cutAt))));
  proxy.mend();
  await Promise.all([live(list), live(one)]);
  await shown(api, list, ids, 5);
  await change(api, ids, 'after');
  await shown(api, list, ids, 7);
  await detailBecomes(one, { version: 7 });
  await until('the history is whole', async () => (await detail(one)).events.length === 7);

  assert.equal(listFrames.subscribed('OnWorkflowsChanged').at(-1).after, seenBefore, 'the list resumes after its last position');
  assert.equal(oneFrames.subscribed('OnWorkflowUpdated').at(-1).afterVersion, versionBefore, 'the detail resumes after its last version');
  for (const id of ids) {
    const versions = listFrames.changedWorkflows().flatMap(({ workflowId, version }) => (workflowId === id ? [version] : []));
    ascending(versions, `pushes of ${id}`);
    assert.equal(versions.at(-1), 7, `the newest version of ${id} was pushed`);
  }
  ascending(oneFrames.updatedVersions(), 'versions of the detail');
  ascending(listFrames.changedPositions({ empty: false }).map(BigInt), 'positions of the list');
  await context.close();
}

/** Two changes to each workflow. */
function change(api, ids, word) {
  return api
    .dispatch(ids.map((workflowId) => ({ startStep: { workflowId, step: word } })))
    .then(() => api.dispatch(ids.map((workflowId) => ({ completeStep: { workflowId, step: word } }))));
}

/** Server and page have come to `version` for every workflow. */
async function shown(api, list, ids, version) {
  await until(`the server is at ${version}`, async () => (await Promise.all(ids.map((id) => api.version(id)))).every((at) => at === version));
  await until(`every row is at ${version}`, async () => {
    const seen = await rows(list);
    return ids.every((id) => seen[id]?.version === version);
  });
}

function ascending(values, what) {
  for (let i = 1; i < values.length; i++) assert.ok(values[i] > values[i - 1], `${what} repeat or go back: ${values.join(' ')}`);
}
