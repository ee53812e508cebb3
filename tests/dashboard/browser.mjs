// A browser that does what comes on standard input, a JSON object a line, and answers each with one: {"value":…} or
// {"error":…}. What drives it is tests/support/browser.py.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const [packages, executablePath, profile] = process.argv.slice(2);
const require = createRequire(packages + "/");
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = context.pages()[0] ?? (await context.newPage());
// Not by page.evaluate(), which makes code of text on the page: the page's own policy forbids that.
const session = await context.newCDPSession(page);
async function evaluate(expression) {
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression,
    awaitPromise: true,
    returnByValue: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}
let errors = [];
let home = "";
page.on("console", (message) => {
  if (message.type() === "error" || message.type() === "warning") errors.push(message.text());
});
page.on("pageerror", (error) => errors.push(String(error)));
page.on("request", (request) => {
  if (home && !request.url().startsWith(home)) errors.push(`asked elsewhere: ${request.url()}`);
});

const actions = {
  async open({ url, width = 1280, height = 800, scheme = "light" }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    home = new URL(url).origin;
    await page.goto("about:blank");
    await page.goto(url, { waitUntil: "load" });
  },
  evaluate: ({ script }) => evaluate(script),
  // Until the expression is true.
  async wait({ script, ms = 20_000 }) {
    const end = Date.now() + ms;
    while (!(await evaluate(`Boolean(${script})`))) {
      if (Date.now() > end) throw new Error(`not within ${ms} ms`);
      await new Promise((done) => setTimeout(done, 40));
    }
  },
  // From now on what is asked for by this path fails, or does not any more.
  block: ({ path }) => page.route(path, (route) => route.abort()),
  unblock: ({ path }) => page.unroute(path),
  click: ({ what }) => page.click(what, { timeout: 10_000 }),
  fill: ({ what, text }) => page.fill(what, text, { timeout: 10_000 }),
  choose: ({ what, value }) => page.selectOption(what, value, { timeout: 10_000 }),
  press: ({ key }) => page.keyboard.press(key),
  screenshot: ({ path, whole = true }) => page.screenshot({ path, fullPage: whole, animations: "disabled" }),
  // Rules that are broken, of those that are serious: WCAG 2.2 A and AA.
  async axe() {
    await evaluate(`${axeSource}; undefined`);
    const { violations } = JSON.parse(
      await evaluate(
        `axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })` +
          `.then(({ violations }) => JSON.stringify({ violations }))`,
      ),
    );
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`);
  },
  // What went wrong since the last time.
  errors() {
    const found = errors;
    errors = [];
    return found;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await actions[request.do](request)) ?? null };
  } catch (problem) {
    answer = { error: String(problem) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await context.close();
