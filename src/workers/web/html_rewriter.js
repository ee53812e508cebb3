// HTMLRewriter, as Cloudflare's workers have it: handlers for elements, comments and text by selector, called while the document
// streams through. What is a token is decided natively (workers/realm_html.h); here are the objects that handlers get.
import { isResponse, Response } from "./response.js";
import { isStream, ReadableStream } from "./streams.js";
import { expose, interfaceOf, required, toDictionary, toDOMString } from "./webidl.js";

// Of realm_html.h.
const kElements = 1;
const kComments = 2;
const kText = 4;
const kDoctypes = 8;
const kNeedsInput = 0;
const kElement = 1;
const kEndTag = 2;
const kComment = 3;
const kTextPiece = 4;
const kDoctype = 5;
const kEnd = 6;
const kOutput = 7;
const kFailed = 8;
const kBefore = 0;
const kAfter = 1;
const kPrepend = 2;
const kAppend = 3;
const kReplace = 4;
const kInner = 5;
const kNamespaces = { html: "http://www.w3.org/1999/xhtml", svg: "http://www.w3.org/2000/svg" };

let making = false;
let runOf;
// What a handler is given: the rewriter, as long as the token is at hand.
class Token {
  #run;
  constructor(run) {
    if (!making) throw new TypeError("Illegal constructor");
    this.#run = run;
  }
  static {
    runOf = (token) => {
      const run = token.#run;
      if (run.token !== token) throw new TypeError("This content token is no longer valid: it is so only in its handler");
      return run;
    };
  }
}
const rewriterOf = (token) => runOf(token).rewriter;

// What is inserted after the body of a Response or a stream waits for that: places are filled in the order of the calls.
function insert(token, place, content, options) {
  const run = runOf(token);
  const { html } = toDictionary(options, "ContentOptions");
  const isBody = isResponse(content) || isStream(content);
  if (!isBody && run.later === null) {
    host.htmlInsert(run.rewriter, place, toDOMString(content), Boolean(html));
    return token;
  }
  if (isBody && (isResponse(content) ? content.bodyUsed || content.body?.locked : content.locked)) {
    throw new TypeError("HTMLRewriter: the body of the content is used already");
  }
  run.later ??= [];
  run.later.push({ place, html: Boolean(html), content: isBody ? new Response(isResponse(content) ? content.body : content) : toDOMString(content) });
  if (place === kReplace) host.htmlRemove(run.rewriter, false);
  return token;
}

function remove(token, keepsContent = false) {
  host.htmlRemove(rewriterOf(token), keepsContent);
  return token;
}

function checkName(name, what) {
  const text = toDOMString(name);
  if (text === "") throw new TypeError(`${what} is empty`);
  const bad = what === "The tag name" ? /^[^A-Za-z]|[\s/>]/ : /[\s/>="'<]/;
  if (bad.test(text)) throw new TypeError(`${what} '${text}' has a character that is not allowed in it`);
  return text;
}

class Element extends Token {
  get tagName() { return host.htmlText(rewriterOf(this)); }
  set tagName(name) { host.htmlSetText(rewriterOf(this), checkName(name, "The tag name")); }
  get namespaceURI() { return host.htmlIsForeign(rewriterOf(this)) ? kNamespaces.svg : kNamespaces.html; }
  get removed() { return host.htmlIsRemoved(rewriterOf(this)); }
  get attributes() {
    const flat = host.htmlAttributes(rewriterOf(this));
    const pairs = [];
    for (let at = 0; at < flat.length; at += 2) pairs[pairs.length] = [flat[at].toLowerCase(), flat[at + 1]];
    return pairs[Symbol.iterator]();
  }
  getAttribute(name) {
    required("getAttribute", arguments.length, 1);
    return host.htmlAttribute(rewriterOf(this), toDOMString(name));
  }
  hasAttribute(name) {
    required("hasAttribute", arguments.length, 1);
    return host.htmlAttribute(rewriterOf(this), toDOMString(name)) !== null;
  }
  setAttribute(name, value) {
    required("setAttribute", arguments.length, 2);
    host.htmlSetAttribute(rewriterOf(this), checkName(name, "The attribute name"), toDOMString(value));
    return this;
  }
  removeAttribute(name) {
    required("removeAttribute", arguments.length, 1);
    host.htmlRemoveAttribute(rewriterOf(this), toDOMString(name));
    return this;
  }
  before(content, options = {}) { return insert(this, kBefore, content, options); }
  after(content, options = {}) { return insert(this, kAfter, content, options); }
  prepend(content, options = {}) { return insert(this, kPrepend, content, options); }
  append(content, options = {}) { return insert(this, kAppend, content, options); }
  replace(content, options = {}) { return insert(this, kReplace, content, options); }
  setInnerContent(content, options = {}) { return insert(this, kInner, content, options); }
  remove() { return remove(this); }
  removeAndKeepContent() { return remove(this, true); }
  onEndTag(handler) {
    const run = runOf(this);
    if (typeof handler !== "function") throw new TypeError("onEndTag: the handler is not a function");
    if (!host.htmlHasContent(run.rewriter)) throw new TypeError("onEndTag: the element has no end tag");
    host.htmlWatchEnd(run.rewriter, run.watch(handler));
  }
}
interfaceOf(Element);

class EndTag extends Token {
  get name() { return host.htmlText(rewriterOf(this)); }
  set name(name) { host.htmlSetText(rewriterOf(this), checkName(name, "The tag name")); }
  before(content, options = {}) { return insert(this, kBefore, content, options); }
  after(content, options = {}) { return insert(this, kAfter, content, options); }
  remove() { return remove(this); }
}
interfaceOf(EndTag);

class Comment extends Token {
  get text() { return host.htmlText(rewriterOf(this)); }
  set text(value) {
    const text = toDOMString(value);
    if (/-->|--!>|^-?>|--$/.test(text)) throw new TypeError("The text of a comment would end it");
    host.htmlSetText(rewriterOf(this), text);
  }
  get removed() { return host.htmlIsRemoved(rewriterOf(this)); }
  before(content, options = {}) { return insert(this, kBefore, content, options); }
  after(content, options = {}) { return insert(this, kAfter, content, options); }
  replace(content, options = {}) { return insert(this, kReplace, content, options); }
  remove() { return remove(this); }
}
interfaceOf(Comment);

class Text extends Token {
  get text() { return host.htmlText(rewriterOf(this)); }
  get lastInTextNode() { return host.htmlIsLast(rewriterOf(this)); }
  get removed() { return host.htmlIsRemoved(rewriterOf(this)); }
  before(content, options = {}) { return insert(this, kBefore, content, options); }
  after(content, options = {}) { return insert(this, kAfter, content, options); }
  replace(content, options = {}) { return insert(this, kReplace, content, options); }
  remove() { return remove(this); }
}
interfaceOf(Text);

class Doctype extends Token {
  get name() { return host.htmlDoctype(rewriterOf(this))[0]; }
  get publicId() { return host.htmlDoctype(rewriterOf(this))[1]; }
  get systemId() { return host.htmlDoctype(rewriterOf(this))[2]; }
}
interfaceOf(Doctype);

class DocumentEnd extends Token {
  append(content, options = {}) { return insert(this, kBefore, content, options); }
}
interfaceOf(DocumentEnd);

const kTypes = [];
kTypes[kElement] = [Element, "element"];
kTypes[kEndTag] = [EndTag, ""];
kTypes[kComment] = [Comment, "comments"];
kTypes[kTextPiece] = [Text, "text"];
kTypes[kDoctype] = [Doctype, "doctype"];
kTypes[kEnd] = [DocumentEnd, "end"];

// One document on its way through.
class Run {
  constructor(handlers, source) {
    this.handlers = handlers;
    this.source = source;
    this.rewriter = host.html();
    this.token = null;
    this.later = null;  // of the token at hand: what is to be inserted when the bodies before it have come
    this.watched = new Map();
    this.lastWatched = 0;
    handlers.forEach(({ selector, wants }, index) => host.htmlAdd(this.rewriter, selector, index, wants));
  }

  watch(handler) {
    this.watched.set(++this.lastWatched, handler);
    return this.lastWatched;
  }

  // Lets the handlers of a token see it, one after the other; a promise where one of them gave one.
  show(kind) {
    making = true;
    this.token = new kTypes[kind][0](this);
    making = false;
    return this.showTo(kind === kEnd ? [...this.handlers.keys()] : host.htmlHandlers(this.rewriter), 0, kind);
  }

  showTo(ids, from, kind) {
    for (let at = from; at < ids.length; ++at) {
      const value = this.handle(ids[at], kind);
      if (value !== undefined && value !== null && typeof value.then === "function") {
        return Promise.resolve(value).then(() => this.showTo(ids, at + 1, kind));
      }
    }
    this.token = null;
    if (this.later === null) return undefined;
    const all = this.later;
    this.later = null;
    return this.insertAll(all);
  }

  async insertAll(all) {
    for (const { place, html, content } of all) {
      host.htmlInsert(this.rewriter, place, typeof content === "string" ? content : await content.text(), html);
    }
  }

  handle(id, kind) {
    if (kind !== kEndTag) {
      const { its } = this.handlers[id];
      const handler = its[kTypes[kind][1]];
      return typeof handler === "function" ? Reflect.apply(handler, its, [this.token]) : undefined;
    }
    const handler = this.watched.get(id);
    this.watched.delete(id);
    return handler(this.token);
  }

  // Enqueues a piece of output, or comes to the end.
  async pull(controller) {
    for (;;) {
      const kind = host.htmlNext(this.rewriter);
      if (kind >= kElement && kind <= kEnd) {
        const shown = this.show(kind);
        if (shown !== undefined) await shown;
        continue;
      }
      if (kind === kFailed) throw new TypeError(`HTMLRewriter: ${host.htmlFailure(this.rewriter)}`);
      const output = host.htmlTake(this.rewriter);
      if (output !== undefined) controller.enqueue(new Uint8Array(output));
      if (kind === kNeedsInput) {
        if (output !== undefined) return;
        const { done, value } = await this.source.read();
        if (done) host.htmlFinish(this.rewriter);
        else if (ArrayBuffer.isView(value)) host.htmlWrite(this.rewriter, value);
        else throw new TypeError("HTMLRewriter: a chunk of the body is not bytes");
      } else if (kind !== kOutput) {
        controller.close();
        return;
      } else {
        return;
      }
    }
  }
}

function wantsOf(handlers, names) {
  if (typeof handlers !== "object" && typeof handlers !== "function" || handlers === null) {
    throw new TypeError("HTMLRewriter: the handlers are not an object");
  }
  let wants = 0;
  for (const [name, flag] of names) {
    const handler = handlers[name];
    if (handler === undefined) continue;
    if (typeof handler !== "function") throw new TypeError(`HTMLRewriter: the handler '${name}' is not a function`);
    wants |= flag;
  }
  return wants;
}

class HTMLRewriter {
  #handlers = [];
  on(selector, handlers) {
    required("on", arguments.length, 2);
    const text = toDOMString(selector);
    const problem = host.htmlProblem(text);
    if (problem !== undefined) throw new TypeError(`HTMLRewriter: ${problem}`);
    const wants = wantsOf(handlers, [["element", kElements], ["comments", kComments], ["text", kText]]);
    this.#handlers.push({ selector: text, its: handlers, wants });
    return this;
  }
  onDocument(handlers) {
    required("onDocument", arguments.length, 1);
    const wants = wantsOf(handlers, [["doctype", kDoctypes], ["comments", kComments], ["text", kText], ["end", 0]]);
    this.#handlers.push({ selector: null, its: handlers, wants });
    return this;
  }
  transform(response) {
    required("transform", arguments.length, 1);
    const handlers = this.#handlers.slice();
    if (!isResponse(response)) throw new TypeError("HTMLRewriter.transform: the argument is not a Response");
    const { body } = response;
    if (body === null) return new Response(null, response);
    const source = body.getReader();
    const run = new Run(handlers, source);
    const rewritten = new ReadableStream({
      async pull(controller) {
        try {
          await run.pull(controller);
        } catch (error) {
          run.token = null;
          run.later = null;
          source.cancel(error).catch(() => {});
          throw error;
        }
      },
      cancel: (reason) => source.cancel(reason),
    }, { highWaterMark: 0 });
    const answer = new Response(rewritten, response);
    answer.headers.delete("content-length");
    return answer;
  }
}
interfaceOf(HTMLRewriter);

expose({ HTMLRewriter });
