// WASI preview 1 (wasi_snapshot_preview1) for a worker that is one Wasm module: a command, run for each request in an instance
// of its own, as CGI/1.1 has it (RFC 3875). The request's body is its standard input, its environment the meta-variables, and
// what it writes to standard output the answer: header lines, an empty line, the body. Standard error goes to the console, by
// lines. There are no files and no sockets.
//
// A command runs from _start to its end without letting anything else run: it cannot wait, so a sleep is over at once.
// No JavaScript of the owner's is in such a realm, so that the platform's own objects are as they were.
import "./encoding.js";
import { Response } from "./response.js";

const kInterface = "wasi_snapshot_preview1";
const kOutputHeadMax = 65536;
const kLineMax = 4096;  // characters of standard error
const kConsoleError = 4;

const kSuccess = 0;
const kBadDescriptor = 8;
const kFault = 21;
const kInvalid = 28;
const kNoSuchCall = 52;
const kIsPipe = 70;

const kRightRead = 1n << 1n;
const kRightWrite = 1n << 6n;
const kRightPoll = 1n << 27n;

const kOnFiles = [
  "fd_advise", "fd_allocate", "fd_datasync", "fd_filestat_set_size", "fd_filestat_set_times", "fd_fdstat_set_rights", "fd_pread",
  "fd_prestat_get", "fd_prestat_dir_name", "fd_pwrite", "fd_readdir", "fd_renumber", "fd_sync", "path_create_directory",
  "path_filestat_get", "path_filestat_set_times", "path_link", "path_open", "path_readlink", "path_remove_directory",
  "path_rename", "path_symlink", "path_unlink_file", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
];

class Exit {
  constructor(status) { this.status = status; }
}

// One run: what it was given, and what it has written.
class Run {
  constructor(args, environment, input) {
    this.args = args;
    this.environment = environment;
    this.input = input;
    this.taken = 0;
    this.output = [];
    this.outputBytes = 0;
    this.closed = [false, false, false];
    this.line = "";
    this.decoder = new TextDecoder();
    this.memory = null;
    this.seen = null;  // the memory's buffer, which growing replaces
  }

  refresh() {
    const { buffer } = this.memory;
    if (buffer === this.seen) return;
    this.seen = buffer;
    this.view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  isOpen(descriptor) { return descriptor >= 0 && descriptor <= 2 && !this.closed[descriptor]; }

  say(text) {
    this.line += text;
    for (let end; (end = this.line.indexOf("\n")) >= 0; this.line = this.line.slice(end + 1)) {
      host.console(kConsoleError, this.line.slice(0, end));
    }
    for (; this.line.length > kLineMax; this.line = this.line.slice(kLineMax)) host.console(kConsoleError, this.line.slice(0, kLineMax));
  }

  finish() {
    if (this.line !== "") host.console(kConsoleError, this.line);
  }

  // Lists of strings as C has them: pointers at `at`, the bytes at `to`.
  putStrings(strings, at, to) {
    for (const string of strings) {
      this.view.setUint32(at, to, true);
      at += 4;
      this.bytes.set(string, to);
      this.bytes[to + string.length] = 0;
      to += string.length + 1;
    }
    return kSuccess;
  }
  putSizes(strings, count, size) {
    this.view.setUint32(count, strings.length, true);
    this.view.setUint32(size, strings.reduce((sum, string) => sum + string.length + 1, 0), true);
    return kSuccess;
  }

  nanoseconds(clock) {
    if (clock === 0) return BigInt(Date.now()) * 1000000n;
    return BigInt(Math.round(host.now() * 1000)) * 1000n;
  }

  // Calls `each(address, length)` for a list of vectors; the sum of what it gives, until it gives less than asked for.
  vectors(list, count, each) {
    let sum = 0;
    for (let at = list; count > 0; --count, at += 8) {
      const length = this.view.getUint32(at + 4, true);
      const moved = each(this.view.getUint32(at, true), length);
      sum += moved;
      if (moved < length) break;
    }
    return sum;
  }

  read(list, count, result) {
    const sum = this.vectors(list, count, (address, length) => {
      const piece = this.input.subarray(this.taken, this.taken + length);
      this.bytes.set(piece, address);
      this.taken += piece.length;
      return piece.length;
    });
    this.view.setUint32(result, sum, true);
    return kSuccess;
  }

  write(descriptor, list, count, result) {
    const sum = this.vectors(list, count, (address, length) => {
      if (address + length > this.bytes.length) throw new RangeError("outside of the memory");
      if (length === 0) return 0;
      if (descriptor === 2) {
        this.say(this.decoder.decode(this.bytes.subarray(address, address + length), { stream: true }));
      } else {
        this.output.push(this.bytes.slice(address, address + length));
        this.outputBytes += length;
      }
      return length;
    });
    this.view.setUint32(result, sum, true);
    return kSuccess;
  }

  putEvent(at, userdata, type) {
    this.bytes.fill(0, at, at + 32);
    this.view.setBigUint64(at, userdata, true);
    this.view.setUint8(at + 10, type);
  }

  // Descriptors are always ready, and a clock's time is taken to have come where there is nothing else.
  poll(subscriptions, events, count, result) {
    if (count === 0) return kInvalid;
    let ready = 0;
    for (const clocks of [false, true]) {
      for (let index = 0; index < count && (!clocks || ready === 0); ++index) {
        const at = subscriptions + 48 * index;
        const type = this.view.getUint8(at + 8);
        if ((type === 0) === clocks) this.putEvent(events + 32 * ready++, this.view.getBigUint64(at, true), type);
      }
    }
    this.view.setUint32(result, ready, true);
    return kSuccess;
  }

  imports() {
    const calls = {
      args_get: (at, to) => this.putStrings(this.args, at, to),
      args_sizes_get: (count, size) => this.putSizes(this.args, count, size),
      environ_get: (at, to) => this.putStrings(this.environment, at, to),
      environ_sizes_get: (count, size) => this.putSizes(this.environment, count, size),
      clock_res_get: (clock, result) => {
        if (clock > 3) return kInvalid;
        this.view.setBigUint64(result, clock === 0 ? 1000000n : 5000n, true);
        return kSuccess;
      },
      clock_time_get: (clock, precision, result) => {
        if (clock > 3) return kInvalid;
        this.view.setBigUint64(result, this.nanoseconds(clock), true);
        return kSuccess;
      },
      fd_close: (descriptor) => {
        if (!this.isOpen(descriptor)) return kBadDescriptor;
        this.closed[descriptor] = true;
        return kSuccess;
      },
      fd_fdstat_get: (descriptor, result) => {
        if (!this.isOpen(descriptor)) return kBadDescriptor;
        this.bytes.fill(0, result, result + 24);
        this.view.setBigUint64(result + 8, kRightPoll | (descriptor === 0 ? kRightRead : kRightWrite), true);
        return kSuccess;
      },
      fd_fdstat_set_flags: (descriptor) => (this.isOpen(descriptor) ? kSuccess : kBadDescriptor),
      fd_filestat_get: (descriptor, result) => {
        if (!this.isOpen(descriptor)) return kBadDescriptor;
        this.bytes.fill(0, result, result + 64);
        return kSuccess;
      },
      fd_seek: (descriptor) => (this.isOpen(descriptor) ? kIsPipe : kBadDescriptor),
      fd_tell: (descriptor) => (this.isOpen(descriptor) ? kIsPipe : kBadDescriptor),
      fd_read: (descriptor, list, count, result) =>
        descriptor === 0 && this.isOpen(0) ? this.read(list, count, result) : kBadDescriptor,
      fd_write: (descriptor, list, count, result) =>
        descriptor > 0 && this.isOpen(descriptor) ? this.write(descriptor, list, count, result) : kBadDescriptor,
      poll_oneoff: (subscriptions, events, count, result) => this.poll(subscriptions, events, count, result),
      proc_exit: (status) => { throw new Exit(status); },
      proc_raise: () => kNoSuchCall,
      random_get: (at, length) => {
        host.random(this.bytes.subarray(at, at + length));
        return at + length > this.bytes.length ? kFault : kSuccess;
      },
      sched_yield: () => kSuccess,
    };
    for (const name of kOnFiles) calls[name] = () => kBadDescriptor;
    const guarded = {};
    for (const name of Object.keys(calls)) {
      const call = calls[name];
      // Numbers come signed; the memory may have grown since.
      guarded[name] = (...values) => {
        this.refresh();
        try {
          return call(...values.map((value) => (typeof value === "number" ? value >>> 0 : value)));
        } catch (error) {
          if (error instanceof RangeError) return kFault;
          throw error;
        }
      };
    }
    return { [kInterface]: guarded };
  }
}

const known = new Set(Object.keys(new Run([], [], null).imports()[kInterface]));

function latin1Bytes(text) {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; ++at) bytes[at] = text.charCodeAt(at);
  return bytes;
}

// "/a%20b" as the bytes of "/a b".
function decodedPath(path) {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
}

// Section 4.1; null where it cannot be told. Of two variables with one name the request's counts.
function environmentOf(request, length, variables) {
  const url = new URL(request.url);
  const meta = new Map([
    ["GATEWAY_INTERFACE", "CGI/1.1"],
    ["SERVER_PROTOCOL", "HTTP/1.1"],
    ["SERVER_SOFTWARE", "Verge"],
    ["SERVER_NAME", url.hostname],
    ["SERVER_PORT", url.port || (url.protocol === "https:" ? "443" : "80")],
    ["REQUEST_METHOD", request.method],
    ["REQUEST_URI", url.pathname + url.search],
    ["SCRIPT_NAME", ""],
    ["PATH_INFO", decodedPath(url.pathname)],
    ["QUERY_STRING", url.search.slice(1)],
  ]);
  if (url.protocol === "https:") meta.set("HTTPS", "on");
  if (length > 0) meta.set("CONTENT_LENGTH", `${length}`);
  for (const [name, value] of request.headers) {
    if (name === "content-type") meta.set("CONTENT_TYPE", value);
    // HTTP_PROXY would be taken for the name of a proxy, X_Real_IP for X-Real-IP.
    else if (name !== "content-length" && name !== "proxy" && !name.includes("_")) {
      const key = `HTTP_${name.toUpperCase().replace(/-/g, "_")}`;
      meta.set(key, meta.has(key) ? `${meta.get(key)}, ${value}` : value);
    }
  }
  const entries = [];
  for (const [name, value] of meta) {
    if (value.includes("\0")) return null;
    entries.push(latin1Bytes(`${name}=${value}`));
  }
  const encoder = new TextEncoder();
  for (const name of Object.keys(variables)) {
    if (!meta.has(name)) entries.push(encoder.encode(`${name}=${variables[name]}`));
  }
  return entries;
}

function joined(pieces, size) {
  if (pieces.length === 1) return pieces[0];
  const all = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

// Section 6: the answer that the output says.
function answerOf(output) {
  let text = "";
  for (const byte of output.subarray(0, kOutputHeadMax)) text += String.fromCharCode(byte);
  const end = /(?:^|\r?\n)\r?\n/.exec(text);
  if (end === null) throw new Error("The command's output has no header that an empty line ends");
  let status;
  let statusText = "";
  const headers = new Headers();
  for (const line of text.slice(0, end.index).split(/\r?\n/)) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Error(`The command's output has the header line '${line.slice(0, 80)}'`);
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name !== "status") {
      headers.append(name, value);
      continue;
    }
    const parts = /^([2-5]\d\d)(?:\s+(.*))?$/.exec(value);
    if (parts === null) throw new Error(`The command's output has the status '${value.slice(0, 80)}'`);
    status = Number(parts[1]);
    statusText = parts[2] ?? "";
  }
  status ??= headers.has("location") ? 302 : 200;
  const body = output.subarray(end.index + end[0].length);
  const isEmpty = status === 204 || status === 205 || status === 304;
  return new Response(isEmpty ? null : body, { status, statusText, headers });
}

// The handlers of a command; or what it lacks, as text.
export function commandOf(module, variables, name) {
  const { Module, Memory, Instance } = WebAssembly;
  for (const { module: from, name: wanted } of Module.imports(module)) {
    if (from !== kInterface || !known.has(wanted)) return `it imports ${from}.${wanted}`;
  }
  const exported = Module.exports(module);
  if (!exported.some(({ name: its, kind }) => its === "_start" && kind === "function")) return "it exports no function _start";
  if (!exported.some(({ name: its, kind }) => its === "memory" && kind === "memory")) return "it exports no memory";
  const taken = Object.keys(variables).find((its) => its.startsWith("HTTP_"));
  if (taken !== undefined) return `its variable ${taken} would be taken for a field of the request: name it otherwise`;
  const args = [new TextEncoder().encode(name)];
  return {
    async fetch(request) {
      const input = request.body === null ? new Uint8Array(0) : new Uint8Array(await request.arrayBuffer());
      const environment = environmentOf(request, input.length, variables);
      if (environment === null) return new Response("The path has a NUL character\n", { status: 400 });
      const run = new Run(args, environment, input);
      const instance = new Instance(module, run.imports());
      run.memory = instance.exports.memory;
      let status = 0;
      try {
        instance.exports._start();
      } catch (error) {
        if (!(error instanceof Exit)) throw error;
        status = error.status;
      } finally {
        run.finish();
      }
      if (status !== 0) throw new Error(`The command ended with exit status ${status}`);
      return answerOf(joined(run.output, run.outputBytes));
    },
  };
}
