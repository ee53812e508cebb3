// The web platform of a worker, and the hooks by which C++ enters it (realm_state.h). Run once, into the startup snapshot;
// `host` is the object of bindings, which only this bundle sees.
import { takeBack } from "./missing.js";
import "./native_text.js";
import "./dom_exception.js";
import "./events.js";
import "./timers.js";
import "./abort.js";
import "./streams.js";
import "./encoding.js";
import "./base64.js";
import { installCrypto } from "./crypto.js";
import "./blob.js";
import "./url.js";
import "./form_data.js";
import "./headers.js";
import "./response.js";
import "./request.js";
import "./fetch.js";
import "./caches.js";
import { hooks as subtleHooks, subtle } from "./subtle.js";
import { DigestStream } from "./digest_stream.js";
import "./bindings.js";
import "./file_reader.js";
import "./compression.js";
import "./url_pattern.js";
import "./html_rewriter.js";
import "./console.js";
import "./globals.js";
import { hooks as bodyHooks } from "./body.js";
import { hooks as dispatchHooks } from "./dispatch.js";
import { hooks as fetchHooks } from "./fetch.js";
import { startDeterministic, wake } from "./startup.js";
import { cloneHostObject } from "./structured_clone.js";
import { fireTimer, reportRejection } from "./timers.js";
import { warmUp } from "./warm_up.js";
import { hooks as socketHooks } from "./websocket.js";
import { hooks as moduleHooks } from "./sockets.js";
import "./websocket_client.js";
import "./event_source.js";

installCrypto({ subtle, DigestStream });
startDeterministic();
takeBack();

export default {
  ...bodyHooks,
  ...fetchHooks,
  ...dispatchHooks,
  ...socketHooks,
  ...subtleHooks,
  ...moduleHooks,
  timer: fireTimer,
  rejection: reportRejection,
  awake: wake,
  clone: cloneHostObject,
  warmUp,
};
