// WebAssembly from a Response (WebAssembly Web API 3). V8 installs WebAssembly when a realm starts, so this is run then.
import { defineProperty } from "./intrinsics.js";
import { isResponse } from "./response.js";

async function bytesOfSource(source) {
  const response = await source;
  if (!isResponse(response)) throw new TypeError("WebAssembly: the source is not a Response");
  if (!response.ok) throw new TypeError(`WebAssembly: the response has status ${response.status}`);
  const type = response.headers.get("content-type");
  if (type === null || type.trim().toLowerCase() !== "application/wasm") {
    throw new TypeError("WebAssembly: the Content-Type is not application/wasm");
  }
  return response.arrayBuffer();
}

export function installStreaming(wasm) {
  const { compile, instantiate } = wasm;
  const methods = {
    async compileStreaming(source) { return compile(await bytesOfSource(source)); },
    async instantiateStreaming(source, imports = undefined) { return instantiate(await bytesOfSource(source), imports); },
  };
  for (const name of Object.keys(methods)) {
    defineProperty(wasm, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
  }
}
