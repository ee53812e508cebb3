// Writes whose work a build is made of, and under which licences, on standard output:
//
//   node copyright.mjs notices [MODULES NODE_MODULES]...                 for people: what npm packages ask to be said
//   node copyright.mjs debian OWN [MODULES NODE_MODULES]... -- SOURCE FILES [SOURCE FILES]...
//       a Debian copyright file (machine-readable, DEP-5): OWN first, then npm packages, then the paragraphs of other
//       Debian copyright files that are about FILES ("*", "deps/v8/*"), each with the licence in full
//
// MODULES is any file that names the bundled modules by their paths: what is below node_modules/NAME/ there is said to be
// of NAME. A package without a licence file is an error: nothing is given on without what it asks for.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [format, ...rest] = process.argv.slice(2);
const own = format === "debian" ? rest.shift() : undefined;
const split = rest.includes("--") ? rest.indexOf("--") : rest.length;
const pairsOf = (list) => Array.from({ length: list.length / 2 }, (_, at) => [list[2 * at], list[2 * at + 1]]);

// An npm package: what it is, whose, its licence by name and in full.
function packageIn(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^(licen[cs]e|copying)/i.test(each));
  if (!file || !license) throw new Error(`${folder}: no licence is there`);
  const text = readFileSync(join(folder, file), "utf8").trim();
  const holders = [...text.matchAll(/^.*?copyright\s+(?:\(c\)\s*|©\s*)?(.+)$/gim)]
    .map(([, holder]) => holder.trim())
    .filter((holder) => /\d{4}|^[A-Z]/.test(holder) && !/notice|holder/i.test(holder));
  return { name, version, license, text, holders };
}

function packages() {
  const found = new Map();
  for (const [modules, place] of pairsOf(rest.slice(0, split))) {
    for (const [, name] of readFileSync(modules, "utf8").matchAll(/node_modules\/((?:@[\w.-]+\/)?[\w.-]+)\//g)) {
      const folder = join(place, name);
      if (!existsSync(folder)) throw new Error(`${folder} is not there, and ${modules} names it`);
      if (!found.has(name)) found.set(name, packageIn(folder));
    }
  }
  if (found.size === 0) throw new Error("no package is named: are these the right lists?");
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

// Lines of a paragraph's field: one blank before each, a full stop on what is empty.
const field = (text) =>
  text
    .split("\n")
    .map((line) => ` ${line.trim() === "" ? "." : line.trimEnd()}`)
    .join("\n");

function fromDebian(source, files) {
  const paragraphs = readFileSync(source, "utf8")
    .split(/\n[ \t]*\n+/)
    .map((paragraph) => Object.fromEntries([...paragraph.matchAll(/^([A-Z][\w-]*):[ \t]*((?:.*)(?:\n[ \t].*)*)/gm)].map(([, key, value]) => [key, value])));
  const about = paragraphs.find((each) => each.Files?.split(/\s+/).includes(files));
  if (!about?.License) throw new Error(`${source}: nothing is said there of ${files}`);
  const name = about.License.split("\n")[0].trim();
  const text = about.License.includes("\n")
    ? about.License
    : paragraphs.find((each) => !each.Files && each.License?.split("\n")[0].trim() === name)?.License;
  if (!text) throw new Error(`${source}: the text of the licence ${name} is not there`);
  return { copyright: about.Copyright.trim(), name, text: text.slice(text.indexOf("\n") + 1) };
}

if (format === "notices") {
  console.log("This page is made of Verge's own files (Apache License 2.0) and of parts of these packages.\n");
  for (const each of packages()) console.log(`--- ${each.name} ${each.version} (${each.license})\n\n${each.text}\n`);
} else if (format === "debian") {
  const sources = pairsOf(rest.slice(split + 1));
  // In the format that those say they have.
  console.log(/^Format:.*/m.exec(readFileSync(sources[0][0], "utf8"))[0]);
  console.log(readFileSync(own, "utf8").trim());
  for (const each of packages()) {
    const [first, ...more] = each.holders.length > 0 ? each.holders : [`the authors of ${each.name}`];
    console.log(`\nFiles: node_modules/${each.name}/*\nCopyright: ${[first, ...more.map((holder) => ` ${holder}`)].join("\n")}`);
    console.log(`License: ${each.license}\n${field(each.text)}`);
    console.log(`Comment: version ${each.version}, bundled into the programs.`);
  }
  for (const [source, files] of sources) {
    const { copyright, name, text } = fromDebian(source, files);
    const library = source.split("/").at(-2);
    console.log(`\nFiles: ${library}/${files}\nCopyright: ${copyright}\nLicense: ${name}\n${text.trimEnd()}`);
    console.log("Comment: headers that are compiled into the programs.");
  }
} else {
  throw new Error("usage: see the beginning of copyright.mjs");
}
