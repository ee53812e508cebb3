// While a snapshot is made V8 10.2 has not yet put in what came with its last versions; the packages use some of it. Lent
// until main.js has been run, since V8 puts its own in when a realm starts.
import { hasOwn } from "./intrinsics.js";

const lent = Object.hasOwn === undefined;
if (lent) Object.hasOwn = (object, key) => hasOwn(Object(object), key);
export function takeBack() {
  if (lent) delete Object.hasOwn;
}
