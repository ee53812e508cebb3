// Writes the files of a directory, compressed, as an assembler file that the node is linked with, and says how much they
// are. Usage: node embed.mjs DIRECTORY OUT.S BYTES_MAX
//
// gzip, because browsers take Brotli over TLS only. What does not get smaller stays as it is.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";

const [directory, out, most] = process.argv.slice(2);
const kTypes = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  json: "application/json",
  txt: "text/plain; charset=utf-8",
};

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)]));
}

const files = walk(directory).map((path) => {
  const bytes = readFileSync(path);
  const type = kTypes[path.split(".").pop()];
  if (!type) throw new Error(`${path}: what type is that?`);
  const packed = gzipSync(bytes, { level: 9 });
  return {
    path: "/" + relative(directory, path),
    type,
    packed,
    size: bytes.length,
    tag: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
  };
});

let total = 0;
const text = [`    .section .rodata.dashboard,"a",@progbits`];
const strings = (label, value) => text.push(`${label}: .ascii ${JSON.stringify(value)}`, `${label}_end:`);
files.forEach((file, index) => {
  total += file.packed.length;
  strings(`path_${index}`, file.path);
  strings(`type_${index}`, file.type);
  strings(`tag_${index}`, file.tag);
  text.push(`body_${index}:`);
  for (let at = 0; at < file.packed.length; at += 64) {
    text.push(`    .byte ${[...file.packed.subarray(at, at + 64)].join(",")}`);
  }
  text.push(`body_${index}_end:`);
});
// As struct EmbeddedFile of src/node/dashboard.cc.
text.push(`    .section .data.rel.ro.dashboard,"aw",@progbits`, `    .balign 8`);
text.push(`    .globl verge_dashboard_files`, `verge_dashboard_files:`);
files.forEach((_, index) => {
  for (const part of ["path", "type", "tag", "body"]) {
    text.push(`    .quad ${part}_${index}, ${part}_${index}_end - ${part}_${index}`);
  }
});
text.push(`    .globl verge_dashboard_count`, `verge_dashboard_count: .quad ${files.length}`);
text.push(`    .section .note.GNU-stack,"",@progbits`, "");
console.log(`the dashboard: ${files.length} files, ${total} bytes compressed, at most ${most}`);
if (total > Number(most)) {
  console.error(`the dashboard is larger than ${most} bytes`);
  process.exit(1);
}
writeFileSync(out, text.join("\n"));
