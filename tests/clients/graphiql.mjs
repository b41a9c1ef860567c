// GraphiQL in a real browser: opens the page, runs operations as a person would, and refuses any console error or foreign host.
//
//   base        http(s):// address of the server
//   token       typed into the headers editor, so that it serves the subscription as well
//   cookie      {name, value} of a session, as the sign-in would have set it
//   steps       [{operation, expect} | {example, expect} | {document, manifest?, variables?, expect}]: a named operation is typed into the
//               editor, an example opened from its panel, a document chosen of a manifest or its id typed; each is run, and the response
//               pane has to show `expect`; without it nothing is sent. With `picture` a picture of the page is written there after the step
//   scheme      `light` or `dark`
//   tour        whether to open whatever else the page has
//
// Prints `title`, `examples` (what their panel lists), `responses` (what the pane showed at each step), `costs` (what was told of the cost,
// `before` and `after`), `background` (the page's), `origins`, `workers` and `warnings`.
import { driveBrowser, watch } from './browsers.mjs';

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

/** Types a named operation into a tab of its own. */
async function type(page, token, operation) {
  const name = operation.match(/\b(?:query|mutation|subscription)\s+(\w+)/)?.[1];
  if (!name) throw new Error(`an operation needs a name here: ${operation}`);
  await page.getByRole('button', { name: 'New tab' }).click();
  if (token) await typeToken(page, token);
  await write(page, '.graphiql-query-editor', operation);
  // GraphiQL reads the operation a moment after the last key; until the tab bears its name, it would run what was there before.
  await page.locator('.graphiql-tab-active', { hasText: name }).waitFor();
  await page.keyboard.press('Escape');
}

/** Opens an example by the keyboard alone; it takes the focus to the editor. */
async function openExample(page, title) {
  const button = page.getByRole('region', { name: 'Examples' }).getByRole('button', { name: title });
  if (!(await button.isVisible())) await page.getByRole('button', { name: 'Show Examples' }).press('Enter');
  await button.press('Enter');
  await page.locator('.graphiql-query-editor .view-lines').getByText(`# ${title}`).waitFor();
}

/** Runs a document by its id, chosen in the panel or typed; `{manifest, document}` are what the lists say, or `document` the id. */
async function runDocument(page, { manifest, document, variables }) {
  const panel = page.getByRole('region', { name: 'Persisted documents' });
  if (!(await panel.isVisible())) await page.getByRole('button', { name: 'Show Persisted documents' }).press('Enter');
  if (manifest) {
    await panel.getByRole('button', { name: 'Reload' }).press('Enter');
    for (const [label, text] of [['Client and version', manifest], ['Document', document]]) {
      const option = panel.getByLabel(label, { exact: true }).locator('option', { hasText: text });
      await option.waitFor({ state: 'attached' });
      await panel.getByLabel(label, { exact: true }).selectOption(await option.getAttribute('value'));
    }
  } else {
    await panel.getByLabel('Id', { exact: true }).fill(document);
  }
  if (variables) await panel.getByLabel('Variables').fill(JSON.stringify(variables));
  await panel.getByRole('button', { name: 'Run by id' }).press('Enter');
}

const said = async (page, name) => (await page.getByRole('status', { name }).innerText()).trim();

/** Does a step; what it may cost is told before it is sent. */
async function run(page, token, step) {
  let before = null;
  if (step.document) {
    await runDocument(page, step);
  } else {
    if (step.example) await openExample(page, step.example);
    else await type(page, token, step.operation);
    await page.locator('[aria-label="Cost before it is sent"][aria-busy="false"]').filter({ hasText: step.cost ?? 'It costs at most' }).waitFor();
    before = await said(page, 'Cost before it is sent');
    if (!step.expect) return { before };
    await page.keyboard.press('Control+Enter');
  }
  const pane = page.locator('.graphiql-response .view-lines');
  try {
    await pane.filter({ hasText: step.expect }).waitFor();
  } catch {
    throw new Error(`the response never showed ${JSON.stringify(step.expect)}, but: ${await pane.innerText()}`);
  }
  const wrong = await page.locator('.squiggly-error').count();
  if (wrong) throw new Error(`the editors underline ${wrong} mistakes in ${JSON.stringify(step)}`);
  if (step.picture) await page.screenshot({ path: step.picture });
  return { response: (await pane.innerText()).replaceAll('\u00a0', ' '), before, after: await said(page, 'Cost of the last run') };
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
  await page.getByRole('button', { name: 'Show GraphiQL Explorer' }).click();
  await page.locator('.graphiql-explorer-root').getByText('rateLimit').click();
  await editor.getByText('rateLimit').waitFor();
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

async function visit(browser, { base, token, cookie, steps, scheme = 'light', tour, stepMs = 10_000 }) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, colorScheme: scheme });
  if (cookie) await context.addCookies([{ ...cookie, url: base }]);
  const page = await context.newPage();
  page.setDefaultTimeout(stepMs);
  const seen = watch(page);
  await page.goto(new URL('/graphiql', base).href);
  await page.locator('.graphiql-query-editor .view-lines').waitFor();
  const examples = await page.getByRole('region', { name: 'Examples' }).getByRole('listitem').allInnerTexts();
  const done = [];
  for (const step of steps) done.push(await run(page, token, step));
  const background = await page.locator('.graphiql-container').evaluate((element) => getComputedStyle(element).backgroundColor);
  if (tour) await lookAround(page);
  const costs = done.map(({ before, after }) => ({ before, after }));
  return { title: await page.title(), examples, responses: done.map((one) => one.response), costs, background, ...seen, origins: [...seen.origins] };
}

driveBrowser(async (browser, args) => {
  const { problems, ...outcome } = await visit(browser, args);
  const foreign = outcome.origins.filter((origin) => origin !== new URL(args.base).origin);
  if (problems.length) throw new Error(`the page complained: ${problems.join(' | ')}`);
  if (foreign.length) throw new Error(`the page spoke to other hosts: ${foreign.join(', ')}`);
  return outcome;
});
