// What the page knows of the node: kept up to date by one stream, begun again when it breaks.
//
// The node is lost when nothing came for kSilence: a node that is there says something every two seconds.

import { useEffect, useState } from "preact/hooks";
import { get, type Goal, type History, type Insight, listen, type Node, type Now, Refused, said, type Tree } from "./api";

const kSilence = 4500;
const kAgain = 1000;
const kHistoryAgain = 5000;
const kHour = 3_600_000;
const kGap = 30_000; // between two samples: longer than a connection takes to begin anew

export interface Known {
  connection: "connecting" | "live" | "lost" | "refused";
  heard: number; // when something came last, by this machine's clock
  refusal: string;
  tree: Omit<Tree, "nodes" | "all"> | null;
  nodes: Map<string, Node>; // those below, by id
  now: Now | null;
  insights: Insight[] | null;
  goals: Goal[] | null;
  history: History | null;
  historyProblem: string; // why there is none
}

export const known: Known = {
  connection: "connecting",
  heard: 0,
  refusal: "",
  tree: null,
  nodes: new Map(),
  now: null,
  insights: null,
  goals: null,
  history: null,
  historyProblem: "",
};

const watchers = new Set<() => void>();
let waiting = false;

// Once a frame at most.
function changed() {
  if (waiting) return;
  waiting = true;
  const tell = () => {
    waiting = false;
    for (const watcher of watchers) watcher();
  };
  if (document.hidden) setTimeout(tell, 200);
  else requestAnimationFrame(tell);
}

export function useKnown(): Known {
  const [, again] = useState(0);
  useEffect(() => {
    const watcher = () => again((n) => n + 1);
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return known;
}

// The time, every second anew: for what grows by itself.
export function useClock(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  // What came since the last second is not in the future.
  return Math.max(now, known.heard);
}

// What the node answers to a question, asked anew every so often while it is reached. What it said last stays when it says
// nothing more; `problem` tells why that is.
export function useAnswer<T>(path: string, everyMs: number): { answer: T | null; problem: string } {
  const { connection } = useKnown();
  const [answer, setAnswer] = useState<T | null>(null);
  const [problem, setProblem] = useState("");
  const isReached = connection === "live";
  useEffect(() => {
    if (!isReached) return;
    let isLeft = false;
    const ask = async () => {
      try {
        const value = await get<T>(path);
        if (isLeft) return;
        setAnswer(value);
        setProblem("");
      } catch (thrown) {
        if (!isLeft) setProblem(said(thrown));
      }
    };
    void ask();
    const timer = setInterval(ask, everyMs);
    return () => {
      isLeft = true;
      clearInterval(timer);
    };
  }, [path, everyMs, isReached]);
  return { answer, problem };
}

function take(name: string, data: string) {
  known.heard = Date.now();
  if (known.connection !== "live") known.connection = "live";
  const value = JSON.parse(data);
  switch (name) {
    case "tree": {
      const tree = value as Tree;
      if (tree.all) known.nodes.clear();
      // Nodes come when they change; how old their word is the page counts on by itself.
      for (const node of [tree.self, ...tree.nodes]) node.heard = known.heard;
      for (const node of tree.nodes) known.nodes.set(node.id!, node);
      known.tree = tree;
      break;
    }
    case "now":
      known.now = value;
      grow(value);
      break;
    case "insights":
      known.insights = value.insights;
      break;
    case "goals":
      known.goals = value.goals;
      break;
  }
  changed();
}

// The newest sample joins the history; what is older than an hour goes.
function grow(now: Now) {
  const history = known.history;
  if (!history) {
    if (Date.now() - historyAsked > kHistoryAgain) void loadHistory();
    return;
  }
  const last = history.times_ms.at(-1);
  if (last === now.time_ms) return;
  // The node's clock was set: what time all samples are of is another then.
  if (last !== undefined && (now.time_ms < last || now.time_ms > last + kGap)) return void loadHistory();
  history.times_ms.push(now.time_ms);
  for (const [name, values] of Object.entries(history.series)) values.push(now.figures[name] ?? null);
  let old = 0;
  while (old < history.times_ms.length && history.times_ms[old]! < now.time_ms - kHour) ++old;
  if (old < 60) return;
  history.times_ms.splice(0, old);
  for (const values of Object.values(history.series)) values.splice(0, old);
}

let current = new AbortController();

// Begins anew at once, as after a token was given.
export function reconnect() {
  known.refusal = "";
  changed();
  current.abort();
}

export async function run(): Promise<never> {
  for (;;) {
    current = new AbortController();
    const controller = current;
    const watch = setInterval(() => {
      if (Date.now() - known.heard > kSilence) controller.abort();
    }, 500);
    const leave = () => {
      if (document.hidden) controller.abort();
    };
    document.addEventListener("visibilitychange", leave);
    try {
      known.heard = Date.now();
      await listen("v1/stream", controller.signal, () => void loadHistory(), take);
    } catch (problem) {
      known.refusal = problem instanceof Refused ? problem.message : "";
      known.connection = problem instanceof Refused && problem.status === 401 ? "refused" : "lost";
    } finally {
      clearInterval(watch);
      document.removeEventListener("visibilitychange", leave);
    }
    // Browsers keep few connections to a host: what nobody looks at holds none.
    if (document.hidden) {
      known.connection = "connecting";
      await new Promise<void>((done) => document.addEventListener("visibilitychange", () => done(), { once: true }));
      continue;
    }
    if (known.connection !== "refused") known.connection = "lost";
    changed();
    await new Promise((done) => setTimeout(done, kAgain));
  }
}

let historyAsked = 0;

async function loadHistory() {
  historyAsked = Date.now();
  try {
    known.history = await get<History>("v1/history?points=360");
    known.historyProblem = "";
  } catch (problem) {
    known.historyProblem = said(problem);
  }
  changed();
}
