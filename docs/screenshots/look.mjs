// Looks at a report as its readers do: on a phone and at a desk, by day and by night, on paper, and by the rules of
// accessibility. Ends with 1 when the page asks for anything but itself, says anything on the console, scrolls sideways, or
// breaks a rule that axe-core calls serious.
//
//   node look.mjs REPORT.html FOLDER CHROMIUM
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import puppeteer from 'puppeteer-core';

const [report, folder, executablePath] = process.argv.slice(2);
const address = pathToFileURL(resolve(report)).href;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const wrong = [];

const sizes = [
  { name: 'phone', width: 390, height: 844, deviceScaleFactor: 1.5, isMobile: true },
  { name: 'desktop', width: 1280, height: 900, deviceScaleFactor: 1 },
];
const schemes = ['light', 'dark'];

const profile = await mkdtemp(join(tmpdir(), 'quell-look-'));
const browser = await puppeteer.launch({
  executablePath,
  userDataDir: profile,
  // Judging a thousand rows takes its time on a small machine.
  protocolTimeout: 600_000,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--font-render-hinting=none',
  ],
});

async function opened(viewport, scheme) {
  const page = await browser.newPage();
  page.on('request', request => {
    if (request.url() !== address) wrong.push(`asks for ${request.url()}`);
  });
  page.on('console', message => wrong.push(`console: ${message.text()}`));
  page.on('pageerror', error => wrong.push(`error: ${error.message}`));
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(address, { waitUntil: 'load' });
  return page;
}

// The rules, with everything unfolded: what is folded up is not looked at.
async function judged(page, where) {
  await page.evaluate(() => document.querySelectorAll('details').forEach(part => { part.open = true; }));
  const session = await page.createCDPSession();
  // A world of its own: the page's policy forbids scripts, and is left as it is.
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  await session.send('Runtime.evaluate', { contextId, expression: axe });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    contextId, awaitPromise: true, returnByValue: true,
    expression: `axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(v =>
      ({ id: v.id, impact: v.impact, help: v.help, count: v.nodes.length, first: v.nodes[0].html.slice(0, 300), why: v.nodes[0].failureSummary })))`,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  for (const found of result.value) {
    const text = `${where}: ${found.id} (${found.impact}) ${found.help}, ${found.count} times: ${found.first}\n    ${found.why}`;
    if (['serious', 'critical'].includes(found.impact)) wrong.push(text);
    else console.log(`minor: ${text}`);
  }
}

try {
  for (const size of sizes) {
    for (const scheme of schemes) {
      const where = `${size.name}-${scheme}`;
      const page = await opened(size, scheme);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      if (wide) wrong.push(`${where}: the page scrolls sideways`);
      const clip = { x: 0, y: 0, width: size.width, height: 1_900 };
      await page.screenshot({ path: join(folder, `${where}.png`), clip, captureBeyondViewport: true });
      await page.screenshot({ path: join(folder, `${where}-all.png`), fullPage: true });
      await judged(page, where);
      await page.close();
    }
  }
  const page = await opened({ width: 1280, height: 900 }, 'light');
  await page.pdf({ path: join(folder, 'report.pdf'), format: 'A4', preferCSSPageSize: true, printBackground: true });
  await page.close();
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

wrong.forEach(one => console.error(`WRONG ${one}`));
console.log(`${wrong.length} wrong in ${sizes.length * schemes.length} views`);
process.exitCode = wrong.length ? 1 : 0;
