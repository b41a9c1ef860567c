// A page behind a link in a mail, in a real browser: what it says, what it speaks to, and that it keeps its token to itself.
//
//   base        http(s):// address of the server
//   path        of the page, with what stands behind its `#`
//   forms       what is done, in order: { fill: { label: text }, press: button, expect: text that the page says then }
//   session     the session's cookie, as { name, value }
//   screenshot  where to write a picture of the page before anything is done
//
// Prints `title`, `address` (of the page in the end), `leaked` (requests that tell the token), `problems`, `warnings` and `origins`.
import { driveBrowser, watch } from './browsers.mjs';

async function visit(browser, { base, path, forms = [], session, screenshot }) {
  const context = await browser.newContext({ viewport: { width: 700, height: 800 }, locale: 'en-GB', timezoneId: 'UTC' });
  if (session) await context.addCookies([{ ...session, url: base }]);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const seen = watch(page);
  const addresses = [];
  page.on('request', (request) => addresses.push(`${request.url()} ${request.headers().referer ?? ''}`));
  await page.goto(new URL(path, base).href);
  const token = path.split('token=')[1];
  for (const [number, { fill = {}, press, expect }] of forms.entries()) {
    if (!press) await page.getByText(expect).first().waitFor();
    const form = page.locator('form').filter({ has: page.getByRole('button', { name: press, exact: true }) });
    if (press) await form.waitFor();
    if (screenshot && number === 0) await page.screenshot({ path: screenshot, fullPage: true });
    for (const [label, text] of Object.entries(fill)) await form.getByLabel(label, { exact: true }).fill(text);
    if (!press) continue;
    await form.getByRole('button', { name: press, exact: true }).click();
    await page.locator('#notice').getByText(expect).waitFor();
  }
  return {
    title: await page.title(),
    address: page.url(),
    leaked: addresses.filter((one) => token && one.includes(token)),
    ...seen,
    origins: [...seen.origins],
  };
}

driveBrowser(visit);
