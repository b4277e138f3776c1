// What a person does and sees on the page, by its data-testid attributes.
import { until } from './wait.mjs';

const id = (name) => `[data-testid="${name}"]`;

export async function openList(page, url, search = '') {
  await page.goto(new URL(search === '' ? '/' : `/?q=${encodeURIComponent(search)}`, url).href);
  await live(page);
}

export async function openDetail(page, url, workflowId) {
  await page.goto(new URL(`/workflow/${encodeURIComponent(workflowId)}`, url).href);
  await live(page);
  await page.waitForSelector(id('workflow-status'));
}

export function live(page, ms = 30_000) {
  return page.waitForSelector(`${id('connection-state')}[data-state="live"]`, { timeout: ms });
}

/** The rows in view: id → { version, status }. */
export function rows(page) {
  return page.$$eval(id('workflow-row'), (elements) =>
    Object.fromEntries(elements.map(({ dataset }) => [dataset.workflowId, { version: Number(dataset.version), status: dataset.status }])),
  );
}

export function rowBecomes(page, workflowId, wanted, ms) {
  return until(
    `the row of ${workflowId} is ${JSON.stringify(wanted)}`,
    async () => {
      const row = (await rows(page))[workflowId];
      return row !== undefined && Object.entries(wanted).every(([key, value]) => row[key] === value);
    },
    ms,
  );
}

export function count(page, name) {
  return page.textContent(id(`count-${name}-value`)).then((text) => Number(text.replace(/\D/g, '')));
}

export function detail(page) {
  return page.evaluate(() => {
    const of = (name) => document.querySelector(`[data-testid="${name}"]`);
    return {
      status: of('workflow-status')?.dataset.status,
      version: Number(of('workflow-version')?.textContent.replace(/\D/g, '')),
      steps: [...document.querySelectorAll('[data-testid="step-row"]')].map(({ dataset }) => ({ ...dataset })),
      events: [...document.querySelectorAll('[data-testid="event-row"]')].map(({ dataset }) => Number(dataset.version)),
    };
  });
}

export function detailBecomes(page, wanted, ms) {
  return until(
    `the detail is ${JSON.stringify(wanted)}`,
    async () => {
      const now = await detail(page);
      return Object.entries(wanted).every(([key, value]) => now[key] === value) && now;
    },
    ms,
  );
}

export async function startByForm(page, { workflowId, definition, initiator, params }) {
  await page.$eval(id('start-form'), (form) => (form.open = true));
  await page.fill(id('start-id'), workflowId);
  await page.fill(id('start-definition'), definition);
  await page.fill(id('start-initiator'), initiator);
  await page.fill(id('start-params'), params);
  await page.click(id('start-submit'));
}

/** Opens a command's form, fills it and sends it; gives the outcome shown: confirmed or rejected. */
export async function act(page, kind, { step, reason, output } = {}) {
  await page.click(id(`action-${kind}`));
  await page.waitForSelector(id('action-form'));
  const field = page.locator(id('action-step'));
  if (step !== undefined) {
    if (kind === 'startStep') await field.fill(step);
    else await field.selectOption(step);
  }
  if (reason !== undefined) await page.fill(id('action-reason'), reason);
  if (output !== undefined) await page.fill(id('action-output'), output);
  await page.click(id('action-submit'));
  return outcome(page);
}

/** What came of the last command. */
export async function outcome(page) {
  const shown = page.locator(`${id('commands')} ${id('action-result')}:not([data-kind="none"])`);
  await shown.waitFor({ state: 'attached' });
  return { kind: await shown.getAttribute('data-kind'), ms: Number(await shown.getAttribute('data-ms')), text: await shown.innerText() };
}
