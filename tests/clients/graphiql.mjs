// GraphiQL in a real browser: opens the page, runs operations as a person would, and refuses any console error or foreign host.
//
//   base        http(s):// address of the server
//   token       typed into the headers editor, so that it serves the subscription as well
//   cookie      {name, value} of a session, as the sign-in would have set it
//   steps       [{operation, expect}]: named operations, typed into the editor and run; the response pane has to show `expect`
//   screenshot  where to write a picture of the page after the last step
//
// Prints `title`, `examples` (the tabs that were there), `responses` (what the pane showed at each step), `origins`, `workers`
// and `warnings`.
import { launched, watch } from './browsers.mjs';
import { drive } from './driver.mjs';

async function write(page, editor, text) {
  await page.locator(`${editor} .view-lines:visible`).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text);
  // The editor adds closing brackets of its own after the cursor.
  await page.keyboard.press('Control+Shift+End');
  await page.keyboard.press('Delete');
}

async function typeToken(page, token) {
  await page.getByRole('button', { name: 'Headers', exact: true }).click();
  await write(page, '.graphiql-editor-tool', JSON.stringify({ Authorization: `Bearer ${token}` }));
}

/** Runs one named operation in a tab of its own. */
async function run(page, token, { operation, expect }) {
  const name = operation.match(/\b(?:query|mutation|subscription)\s+(\w+)/)?.[1];
  if (!name) throw new Error(`an operation needs a name here: ${operation}`);
  await page.getByRole('button', { name: 'New tab' }).click();
  if (token) await typeToken(page, token);
  await write(page, '.graphiql-query-editor', operation);
  // GraphiQL reads the operation a moment after the last key; until the tab bears its name, it would run what was there before.
  await page.locator('.graphiql-tab-active', { hasText: name }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  const pane = page.locator('.graphiql-response .view-lines');
  try {
    await pane.filter({ hasText: expect }).waitFor();
  } catch {
    throw new Error(`the response never showed ${JSON.stringify(expect)}, but: ${await pane.innerText()}`);
  }
  return (await pane.innerText()).replaceAll('\u00a0', ' ');
}

/** Opens whatever else the page has, for the policy to complain about. */
async function lookAround(page) {
  const editor = page.locator('.graphiql-query-editor .view-lines');
  for (const title of ['Documentation Explorer', 'History', 'GraphiQL Explorer']) {
    await page.getByRole('button', { name: `Show ${title}` }).click();
    await page.getByRole('button', { name: `Hide ${title}` }).click();
  }
  for (const name of ['Open short keys dialog', 'Open settings dialog']) {
    await page.getByRole('button', { name }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
  }
  await page.getByRole('button', { name: 'New tab' }).click();
  await write(page, '.graphiql-query-editor', 'query Look { viewer { user { name } } }');
  await page.locator('.graphiql-tab-active', { hasText: 'Look' }).waitFor();
  await editor.getByText('viewer').hover();
  await page.locator('.monaco-hover:visible').first().waitFor();
  for (const [key, widget] of [['Control+Space', '.suggest-widget'], ['Control+F', '.find-widget'], ['F1', '.quick-input-widget']]) {
    await editor.click();
    await page.keyboard.press(key);
    await page.locator(`${widget}:visible`).first().waitFor();
    await page.keyboard.press('Escape');
  }
}

async function visit(browser, { base, token, cookie, steps, screenshot, stepMs = 10_000 }) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  if (cookie) await context.addCookies([{ ...cookie, url: base }]);
  const page = await context.newPage();
  page.setDefaultTimeout(stepMs);
  const seen = watch(page);
  await page.goto(new URL('/graphiql', base).href);
  await page.locator('.graphiql-query-editor .view-lines').waitFor();
  const examples = await page.getByRole('tab').allInnerTexts();
  const responses = [];
  for (const step of steps) responses.push(await run(page, token, step));
  await lookAround(page);
  if (screenshot) await page.screenshot({ path: screenshot });
  return { title: await page.title(), examples, responses, ...seen, origins: [...seen.origins] };
}

drive(async (args) => {
  const browser = await launched();
  try {
    const { problems, ...outcome } = await visit(browser, args);
    const foreign = outcome.origins.filter((origin) => origin !== new URL(args.base).origin);
    if (problems.length) throw new Error(`the page complained: ${problems.join(' | ')}`);
    if (foreign.length) throw new Error(`the page spoke to other hosts: ${foreign.join(', ')}`);
    return outcome;
  } finally {
    await browser.close();
  }
});
