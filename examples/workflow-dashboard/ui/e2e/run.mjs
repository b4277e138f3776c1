// Drives the page in a real browser against a running server.
//
//   DASHBOARD_URL=http://127.0.0.1:8080 npm run e2e
//
// CHROMIUM         the browser, /usr/bin/chromium by default
// E2E_PROXY_PORT   the port of the proxy between browser and server, a free one by default; the server must allow
//                  its address as a host: --allow-host 127.0.0.1:PORT
// E2E_ONLY         runs only scenarios whose name contains this
//
// Prints `E2E_TIMINGS {…}` and closes with `N passed, N failed`; the exit code says it too.
import { chromium } from 'playwright-core';
import { createApi } from './api.mjs';
import { startProxy } from './proxy.mjs';
import * as accessibility from './scenarios/accessibility.mjs';
import * as commands from './scenarios/commands.mjs';
import * as frozen from './scenarios/frozen.mjs';
import * as list from './scenarios/list.mjs';
import * as rejection from './scenarios/rejection.mjs';
import * as resume from './scenarios/resume.mjs';
import * as timeTravel from './scenarios/time-travel.mjs';
import * as timings from './scenarios/timings.mjs';

const SCENARIO_MAX_MS = 120_000;
const scenarios = [commands, list, timeTravel, rejection, resume, frozen, accessibility, timings];

const { DASHBOARD_URL, CHROMIUM = '/usr/bin/chromium', E2E_PROXY_PORT = '0', E2E_ONLY = '' } = process.env;
if (!DASHBOARD_URL) throw new Error('DASHBOARD_URL must name a running server');

const server = new URL(DASHBOARD_URL);
const proxy = await startProxy(server, Number(E2E_PROXY_PORT));
console.log(`proxy ${proxy.url.href} in front of ${server.href}`);
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const run = Date.now().toString(36);
const shared = { browser, proxy, url: proxy.url, api: createApi(server), unique: (name) => `e2e-${run}-${name}` };
const measured = {};
let failed = 0;
const chosen = scenarios.filter(({ name }) => name.includes(E2E_ONLY));
for (const { name, run: scenario } of chosen) {
  const began = Date.now();
  try {
    Object.assign(measured, await within(scenario(shared), SCENARIO_MAX_MS));
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name} (${Date.now() - began} ms)\n${describe(error)}`);
  }
  proxy.mend();
  await Promise.all(browser.contexts().map((context) => context.close()));
}
await browser.close();
await proxy.close();
console.log(`E2E_TIMINGS ${JSON.stringify(measured)}`);
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 && chosen.length > 0 ? 0 : 1;

async function within(task, ms) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([task, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function describe(error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return error instanceof Error && error.cause ? `${text}\n  because ${describe(error.cause)}` : text;
}
