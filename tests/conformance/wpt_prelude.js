// Before testharness.js: what the tests expect of a global scope that is neither a window nor a worker of a browser.
// The runner puts the test's URL in place of %URL%.
delete globalThis.WorkerGlobalScope;
{
  const { href, origin, protocol, host, hostname, port, pathname, search, hash } = new URL("%URL%");
  globalThis.location = { href, origin, protocol, host, hostname, port, pathname, search, hash, toString: () => href };
}
if (/\.window\.|(?<!\.any)\.html/.test("%URL%")) globalThis.window = globalThis;
globalThis.GLOBAL = { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false };
globalThis.importScripts = () => {
  throw new Error("there is no importScripts");
};
