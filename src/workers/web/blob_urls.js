// blob: URLs (File API 8), of this realm only.
import { mapDelete, mapGet, mapSet, NativeMap } from "./intrinsics.js";
import { isBlob } from "./blob.js";
import { randomUuid } from "./crypto.js";

const entries = new NativeMap();

export function createObjectURL(object) {
  if (!isBlob(object)) throw new TypeError("URL.createObjectURL: the argument is not a Blob");
  const { location } = globalThis;  // as a script may define it
  const origin = typeof location === "object" && location !== null && location.origin !== undefined ? `${location.origin}` : "null";
  const url = `blob:${origin}/${randomUuid()}`;
  mapSet(entries, url, object);
  return url;
}
export const revokeObjectURL = (url) => { mapDelete(entries, url); };
export const blobOfUrl = (url) => mapGet(entries, url);
