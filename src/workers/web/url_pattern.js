// URLPattern (URL Pattern Standard): urlpattern-polyfill, with what an interface has.
import "./url.js";
import { URLPattern } from "urlpattern-polyfill/urlpattern";
import { expose, interfaceOf } from "./webidl.js";

expose({ URLPattern: interfaceOf(URLPattern, { tag: "URLPattern" }) });
