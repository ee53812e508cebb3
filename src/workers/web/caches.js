// caches and Cache (Service Workers 5.4, 5.5) over the node's cache: match, put, delete, of GET requests. What can be found
// again, and how long, is the node's decision, by the answer's own fields.
import { defineProperty, rejected, resolved, then, NativePromise } from "./intrinsics.js";
import { fieldOf, makeHeaders } from "./headers.js";
import { isUnusable, sendBody } from "./body.js";
import { expectOperation, nextOperation } from "./fetch.js";
import { isRequest, Request, requestBlock, requestState } from "./request.js";
import { isResponse, receivedResponse, responseBlock, responseState, sentBlock } from "./response.js";
import { needAwake } from "./timers.js";
import { withoutFragment } from "./url.js";
import { expose, interfaceOf, required, toDictionary } from "./webidl.js";

const toState = (request) => requestState(isRequest(request) ? request : new Request(request));

// What is asked of the host: start(id), then one of the hooks of fetch.js.
const operation = (what, start) => new NativePromise((resolve, reject) => {
  const id = nextOperation();
  expectOperation(id, {
    answered: (status, reason, block, body) => resolve([status, reason, block, body]),
    missed: () => resolve(undefined),
    done: resolve,
    failed: (text) => reject(new TypeError(`${what} failed: ${text}`)),
  });
  start(id);
});

const attempt = (action) => {
  try {
    return action();
  } catch (error) {
    return rejected(error);
  }
};

let making = true;
class Cache {
  #name;
  constructor(name) {
    if (!making) throw new TypeError("Illegal constructor");
    this.#name = name;
  }
  match(request, options = {}) {
    return attempt(() => {
      const name = this.#name;
      required("Cache.match", arguments.length, 1);
      needAwake("Cache.match");
      const state = toState(request);
      const { ignoreMethod } = toDictionary(options, "CacheQueryOptions");
      if (state.method !== "GET" && state.method !== "HEAD" && !ignoreMethod) return resolved(undefined);
      const url = withoutFragment(state.url);
      return then(operation("Cache.match", (id) => host.cacheMatch(id, name, "GET", url, requestBlock(state))), (found) => {
        if (found === undefined) return undefined;
        return receivedResponse(found[0], found[1], found[2], found[3], url, false);
      });
    });
  }
  put(request, response) {
    return attempt(() => {
      const name = this.#name;
      required("Cache.put", arguments.length, 2);
      needAwake("Cache.put");
      const state = toState(request);
      if (state.method !== "GET") throw new TypeError(`Cache.put: ${state.method} requests are not cached`);
      if (!isResponse(response)) throw new TypeError("Cache.put: the second argument is not a Response");
      const answer = responseState(response);
      if (answer.status === 206) throw new TypeError("Cache.put: a partial answer (206) is not cached");
      const vary = fieldOf(makeHeaders(responseBlock(answer), "none"), "vary");
      if (vary !== null && /(^|,)\s*\*\s*(,|$)/.test(vary)) throw new TypeError("Cache.put: the answer varies by everything (Vary: *)");
      if (isUnusable(answer.body)) throw new TypeError("Cache.put: the body has been read already, or its stream is locked");
      const url = withoutFragment(state.url);
      const block = sentBlock(answer);
      return then(operation("Cache.put", (id) => {
        sendBody(answer.body, (kind, body, length) => host.cachePut(id, name, url, requestBlock(state), answer.status, answer.reason, block, kind, body, length));
      }), () => undefined);
    });
  }
  delete(request, options = {}) {
    return attempt(() => {
      const name = this.#name;
      required("Cache.delete", arguments.length, 1);
      needAwake("Cache.delete");
      const state = toState(request);
      const { ignoreMethod } = toDictionary(options, "CacheQueryOptions");
      if (state.method !== "GET" && state.method !== "HEAD" && !ignoreMethod) return resolved(false);
      return operation("Cache.delete", (id) => host.cacheRemove(id, name, "GET", withoutFragment(state.url), requestBlock(state)));
    });
  }
}
interfaceOf(Cache);

const newCache = (name) => {
  making = true;
  const made = new Cache(name);
  making = false;
  return made;
};
const defaultCache = newCache("default");

class CacheStorage {
  #brand;
  constructor() {
    if (!making) throw new TypeError("Illegal constructor");
  }
  get default() {
    this.#brand;
    return defaultCache;
  }
  open(name) {
    return attempt(() => {
      this.#brand;
      required("CacheStorage.open", arguments.length, 1);
      const text = `${name}`;
      if (text === "default") throw new TypeError("CacheStorage.open: 'default' is caches.default");
      return resolved(newCache(text));
    });
  }
}
interfaceOf(CacheStorage);
making = true;
const caches = new CacheStorage();
making = false;
expose({ Cache, CacheStorage });
defineProperty(globalThis, "caches", { get: () => caches, enumerable: true, configurable: true });
