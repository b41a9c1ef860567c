// A real browser, and what a page did in it that it should not have done.
import { chromium } from 'playwright-core';
import { drive } from './driver.mjs';

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A driver whose work is done in a headless Chromium; the environment's CHROMIUM names another one than Debian's. */
export const driveBrowser = (visit) =>
  drive(async (args) => {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGUMENTS });
    try {
      return await visit(browser, args);
    } finally {
      await browser.close();
    }
  });

/** Everything the page did that it should not have done, and every origin it spoke to. */
export function watch(page) {
  const seen = { problems: [], warnings: [], origins: new Set(), workers: 0 };
  const note = (url) => {
    const { origin, protocol } = new URL(url);
    if (!['data:', 'blob:'].includes(protocol)) seen.origins.add(origin.replace(/^ws/, 'http'));
  };
  page.on('request', (request) => note(request.url()));
  page.on('websocket', (socket) => note(socket.url()));
  page.on('worker', () => seen.workers++);
  page.on('pageerror', (error) => seen.problems.push(error.message));
  page.on('requestfailed', (request) => seen.problems.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('console', (message) => {
    if (message.type() === 'error') seen.problems.push(message.text());
    if (message.type() === 'warning') seen.warnings.push(message.text());
  });
  return seen;
}
