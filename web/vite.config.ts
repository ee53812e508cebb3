import { writeFileSync } from "node:fs";
import { defineConfig } from "vite";

// Everything is a file of the node's own: no inlined data, no module preload polyfill (it would be an inline script).
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  // What is in the bundle: for the notices of those whose work that is.
  plugins: [
    {
      name: "modules",
      buildEnd() {
        writeFileSync("modules.json", JSON.stringify([...this.getModuleIds()], null, 1));
      },
    },
  ],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
