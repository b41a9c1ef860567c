// The page behind a link to a chat, in a real browser: what it shows, what it speaks to, and that nothing in a chat becomes a script.
//
//   base        http(s):// address of the server
//   token       what stands behind the `#` of the link
//   more        how often to ask for more
//   expect      a text that the page has to show in the end
//   screenshot  where to write a picture of the page
//
// Prints `title`, `heading`, `about`, `articles` (their texts), `html` (of the messages), `links`, `origins` and `dialogs`.
import { driveBrowser, watch } from './browsers.mjs';

async function visit(browser, { base, token, more = 0, expect, screenshot }) {
  const context = await browser.newContext({ viewport: { width: 900, height: 1100 }, locale: 'en-GB', timezoneId: 'UTC' });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const seen = watch(page);
  const dialogs = [];
  const asked = [];
  page.on('dialog', (dialog) => dialog.dismiss().then(() => dialogs.push(dialog.message())));
  page.on('request', (request) => asked.push(`${request.url()} ${request.headers().referer ?? ''}`));
  await page.goto(new URL(`/share#${token}`, base).href);
  for (let times = 0; times < more; times++) await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText(expect).first().waitFor();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  const links = await page.locator('main a').evaluateAll((found) => found.map((one) => [one.getAttribute('href'), one.rel]));
  return {
    title: await page.title(),
    heading: await page.locator('h1').first().innerText(),
    about: await page.locator('#about').innerText(),
    articles: await page.locator('article').allInnerTexts(),
    html: await page.locator('main').innerHTML(),
    leaked: asked.filter((one) => token && one.includes(token)),
    links,
    dialogs,
    ...seen,
    origins: [...seen.origins],
  };
}

driveBrowser(visit);
