// The public API of a node (/v1/openapi.json), as far as the dashboard reads it.

export type State = "live" | "stale" | "offline" | "never_seen";
export type Figures = Record<string, number | null>;

export interface Node {
  id: string | null;
  parent: string | null;
  name: string;
  tier: string;
  site: string;
  version: string;
  state: State;
  age_ms: number;
  uptime_s: number;
  latitude: number | null;
  longitude: number | null;
  round_trip_ms: number | null;
  skew_ms: number | null;
  figures: Figures;
  heard: number; // when age_ms was learnt, by this machine's clock
}

export interface Parent {
  url: string;
  state: State;
  delivering: boolean;
  id?: string;
  name?: string;
  tier?: string;
  site?: string;
  version?: string;
  heard_ms_ago?: number;
  round_trip_ms: number | null;
}

export interface Region {
  site: string;
  nodes: number;
  live: number;
  round_trip_ms: number | null;
}

export interface Tree {
  change: number;
  all: boolean;
  self: Node;
  parent: Parent | null;
  nodes: Node[];
  never_seen: string[];
  regions: Region[];
  left_out: number;
}

export interface Queue {
  priority: string;
  records: number;
  bytes: number;
  oldest_ms: number;
  dropped: number;
}

export interface Now {
  time_ms: number;
  figures: Figures;
  queues: Queue[];
  totals: Record<string, number>;
  has_parent: boolean;
  has_sites: boolean;
}

export interface History {
  every_ms: number;
  times_ms: number[];
  series: Record<string, (number | null)[]>;
}

export interface Insight {
  id: string;
  level: "warning" | "medium" | "info";
  node: string;
  message: string;
  recommendation: string;
}

export interface Goal {
  id: string;
  name: string;
  unit: "ms" | "us" | "ratio";
  goal: number | null;
  is: "below" | "above" | null;
  measured: number | null;
  met: boolean | null;
  over: string;
}

export interface Popular {
  urls: { key: string; share: number }[];
  tags: { key: string; share: number }[];
}

export interface Worker {
  name: string;
  version: number;
  routes: string[];
  cron: string[];
  calls: number;
  errors: number;
  limited: number;
  fallbacks: number;
  cpu_s: number;
  memory_bytes: number;
  p50_us: number;
  p99_us: number;
}

export interface Latency {
  place: string;
  nodes: {
    node: string;
    site: string;
    state: State;
    distance_km: number;
    p10_ms: number;
    latency_ms: number;
    p90_ms: number;
    confidence: number;
  }[];
}

export interface Tailed {
  time_ms: number;
  kind: "message" | "command" | "upload" | "drop";
  topic: string;
  device: string;
  rule: string;
  payload: string;
  payload_bytes: number;
}

// What the node says when it refuses.
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

// For people: what the node says, or that it says nothing.
export function said(problem: unknown): string {
  return problem instanceof Refused ? problem.message : "the node does not answer";
}

const tokenKey = "verge-token";

// What a field of a request can carry.
export const kTokenPattern = "[\\x21-\\x7E]+";

export const token = {
  get: () => sessionStorage.getItem(tokenKey) ?? "",
  set: (value: string) => sessionStorage.setItem(tokenKey, value),
};

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token.get()) headers["Authorization"] = `Bearer ${token.get()}`;
  if (init.body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { ...init, headers, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  let code = "";
  let message = `the node answers ${response.status}`;
  try {
    const { error } = await response.json();
    code = error.code;
    message = `${error.what}; ${error.fix}`;
  } catch {
    // Not an answer of the API.
  }
  throw new Refused(response.status, code, message);
}

export async function get<T>(path: string): Promise<T> {
  return (await request(path)).json();
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await request(path, { method: "POST", body: JSON.stringify(body) })).json();
}

// The node says something at least so often, if only a comment (LiveStreams: about every 10 s).
const kSilence = 25_000;

// Server-sent events over fetch, which can show a token. Ends when the connection does, when nothing comes, not even a
// comment, or `signal` says so.
export async function listen(
  path: string,
  signal: AbortSignal,
  opened: () => void,
  take: (name: string, data: string) => void,
): Promise<void> {
  const response = await request(path, { signal });
  opened();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let silence = 0;
    const { done, value } = await Promise.race([
      reader.read(),
      new Promise<never>((_, fail) => {
        silence = setTimeout(() => fail(new Error("silence")), kSilence);
      }),
    ]).catch((problem: unknown) => {
      void reader.cancel().catch(() => {});
      throw problem;
    }).finally(() => clearTimeout(silence));
    if (done) return;
    rest += value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      // Only a line feed ends a line here: other separators, such as U+2028, are part of the text.
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "));
      const data = lines.find((line) => line.startsWith("data: "));
      if (name && data) take(name.slice("event: ".length), data.slice("data: ".length));
    }
  }
}
