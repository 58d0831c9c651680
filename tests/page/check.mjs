// Looks at report pages in a browser: node check.mjs CHROMIUM PAGE.html ...
// Needs playwright-core, found from the working directory. Exits with 1 if anything is wrong.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { chromium } = createRequire(resolve("package.json"))("playwright-core");
const [executablePath, ...files] = process.argv.slice(2);
if (!executablePath || files.length === 0) {
  console.error("usage: node check.mjs CHROMIUM PAGE.html ...");
  process.exit(2);
}

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
let wrong = 0;
for (const file of files) {
  for (const width of [400, 800, 1600]) {
    for (const colorScheme of ["light", "dark"]) {
      for (const problem of await look(file, width, colorScheme)) {
        console.error(`${file} at ${width} px, ${colorScheme}: ${problem}`);
        wrong += 1;
      }
    }
  }
}
await browser.close();
console.log(`${files.length} pages looked at, ${wrong} problems`);
process.exit(wrong === 0 ? 0 : 1);

async function look(file, width, colorScheme) {
  const url = pathToFileURL(resolve(file)).href;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== url) problems.push(`it asks for ${request.url()}`);
  });
  await page.goto(url);
  problems.push(...(await page.evaluate(inspect)));
  for (const details of await page.$$("details")) {
    await details.evaluate((one) => { one.open = true; });
  }
  problems.push(...(await page.evaluate(inspect)).map((problem) => `opened: ${problem}`));
  await context.close();
  return [...new Set(problems)];
}

// Runs in the page.
function inspect() {
  const problems = [];
  if (document.querySelector("script")) problems.push("a script element");
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  const levels = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => Number(h.tagName[1]));
  levels.forEach((level, nth) => {
    if (nth > 0 && level > levels[nth - 1] + 1) problems.push(`h${level} after h${levels[nth - 1]}`);
  });
  const name = document.title.replace(/ · qoslab$/, "");
  if (document.querySelector("h1")?.textContent !== name) problems.push("h1 is not the name");
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) problems.push(`the page scrolls sideways: ${root.scrollWidth} px`);
  for (const picture of document.querySelectorAll("svg, img")) {
    const { width, height } = picture.getBoundingClientRect();
    if (width === 0 || height === 0) problems.push("a picture without size");
  }
  // Every line of text that is shown, but what its own region or the skip link hides.
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest(".skip") || !parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width > 0 && box.height > 0) boxes.push({ box, text: node.data.trim() });
    }
  }
  // A line's box is higher than its letters: only what overlaps by much is unreadable.
  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.4 * Math.min(a.height, b.height);
  boxes.sort((a, b) => a.box.top - b.box.top);
  for (let i = 0; i < boxes.length && problems.length < 20; i += 1) {
    for (let j = i + 1; j < boxes.length && boxes[j].box.top < boxes[i].box.bottom; j += 1) {
      if (overlap(boxes[i].box, boxes[j].box)) {
        problems.push(`"${boxes[i].text.slice(0, 40)}" overlaps "${boxes[j].text.slice(0, 40)}"`);
      }
    }
  }
  return problems;
}
