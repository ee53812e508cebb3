// The tree: regions, a map, and every node in its place.

import { memo } from "./memo";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Node, Parent, State } from "./api";
import { count, microseconds, milliseconds, nothing, number, percent } from "./format";
import { WorldMap } from "./map";
import { Card, kReportedLast, kWaiting, Page, StateMark, Table, Tiles } from "./parts";
import { useKnown } from "./state";

interface Placed {
  node: Node;
  depth: number;
  parent: string; // its name
}

// Parents before their children, children by name. A node whose parent is not known stands below this one.
export function placed(self: Node, nodes: Map<string, Node>): Placed[] {
  const below = new Map<string, Node[]>();
  for (const node of nodes.values()) {
    const parent = node.parent !== null && nodes.has(node.parent) ? node.parent : self.id!;
    const list = below.get(parent);
    if (list) list.push(node);
    else below.set(parent, [node]);
  }
  const all: Placed[] = [];
  const seen = new Set<string>();
  const visit = (node: Node, depth: number, parent: string) => {
    if (seen.has(node.id!)) return;
    seen.add(node.id!);
    all.push({ node, depth, parent });
    const children = below.get(node.id!) ?? [];
    children.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    for (const child of children) visit(child, depth + 1, node.name);
  };
  visit(self, 0, "");
  // Reports that contradict each other may have named parents in a circle, which hangs from nothing.
  for (const node of nodes.values()) visit(node, 1, self.name);
  return all;
}

const Row = memo(function Row({ node, depth, parent, isSelf }: Placed & { isSelf: boolean }) {
  return (
    <tr class={node.state === "live" ? undefined : "old"} title={node.state === "live" ? undefined : kReportedLast}>
      <th scope="row" class={`depth depth-${Math.min(depth, 6)}`}>
        <a href={`#/node/${node.id}`}>{node.name}</a>
        {depth > 0 && <span class="hidden">, below {parent}</span>}
        {isSelf && <span class="tag">this node</span>}
      </th>
      <td>
        <StateMark state={node.state} />
      </td>
      <td>{node.tier}</td>
      <td>{node.site || nothing}</td>
      <td>{node.version}</td>
      <td class="right">{milliseconds(node.round_trip_ms)}</td>
      <td class="right">{number(node.figures["events_per_s"])}</td>
      <td class="right">{microseconds(node.figures["decision_p99_us"])}</td>
      <td class="right">{count(node.figures["waiting_records"])}</td>
      <td class="right">{percent(node.figures["cache_hit_ratio"])}</td>
    </tr>
  );
});

function ParentRow({ parent }: { parent: Parent }) {
  return (
    <tr class="above">
      <th scope="row">
        {parent.name ?? parent.url}
        <span class="tag">parent</span>
      </th>
      <td>
        <StateMark state={parent.state} />
      </td>
      <td>{parent.tier ?? nothing}</td>
      <td>{parent.site || nothing}</td>
      <td>{parent.version ?? nothing}</td>
      <td class="right">{milliseconds(parent.round_trip_ms)}</td>
      <td class="right" colSpan={4}>
        {parent.delivering ? "takes what is sent" : parent.state === "live" ? "" : "is not reached"}
      </td>
    </tr>
  );
}

const kFirstRows = 60;

export function TreePage() {
  const { tree, nodes, now } = useKnown();
  const [wanted, setWanted] = useState("");
  const [state, setState] = useState<State | "">("");
  // The first rows are there at once; the others follow when they were seen.
  const [all, setAll] = useState(false);
  useEffect(() => {
    if (!tree || all) return;
    const timer = setTimeout(() => setAll(true), 60);
    return () => clearTimeout(timer);
  }, [tree !== null]);
  useEffect(() => {
    if (tree) requestAnimationFrame(() => performance.mark("nodes"));
  }, [tree !== null]);
  const rows = useMemo(() => (tree ? placed(tree.self, nodes) : []), [tree]);
  if (!tree) {
    return (
      <Page title="Tree and map">
        <p>{kWaiting}</p>
      </Page>
    );
  }
  const text = wanted.trim().toLowerCase();
  const found = rows.filter(
    ({ node }) =>
      (state === "" || node.state === state) &&
      (text === "" || `${node.name} ${node.site} ${node.tier} ${node.version}`.toLowerCase().includes(text)),
  );
  const neverSeen =
    state === "" || state === "never_seen" ? tree.never_seen.filter((name) => name.toLowerCase().includes(text)) : [];
  const shown = all ? found : found.slice(0, kFirstRows);
  const having = (wantedState: State) => rows.filter(({ node }) => node.state === wantedState).length;
  const isSmall = tree.regions.length <= 1;
  return (
    <Page title="Tree and map">
      <Tiles
        tiles={[
          { label: "Nodes", value: count(rows.length + tree.never_seen.length), id: "nodes" },
          { label: "Live", value: count(having("live")), id: "live" },
          { label: "Stale", value: count(having("stale")), id: "stale", bad: having("stale") > 0 },
          { label: "Offline", value: count(having("offline")), id: "offline", bad: having("offline") > 0 },
          { label: "Never seen", value: count(tree.never_seen.length), id: "never", bad: tree.never_seen.length > 0 },
          { label: "Events here", value: number(now?.figures["events_per_s"], "/s"), id: "events_per_s" },
        ]}
      />
      <div class="columns">
        <Card title="Map" wide>
          <WorldMap self={tree.self} nodes={nodes} />
        </Card>
        {!isSmall && (
          <Card title="Regions">
            <Table caption="Regions" head={["Site", ">Nodes", ">Live", ">Round trip"]}>
              {tree.regions.map((region) => (
                <tr key={region.site}>
                  <th scope="row">{region.site || "no site named"}</th>
                  <td class="right">{region.nodes}</td>
                  <td class="right">{region.live}</td>
                  <td class="right">{milliseconds(region.round_trip_ms)}</td>
                </tr>
              ))}
            </Table>
          </Card>
        )}
      </div>
      <section class="card">
        <div class="bar">
          <h2>Nodes</h2>
          <label>
            <span>Find</span>
            <input type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
          </label>
          <label>
            <span>State</span>
            <select value={state} onChange={(event) => setState(event.currentTarget.value as State | "")}>
              <option value="">any</option>
              <option value="live">live</option>
              <option value="stale">stale</option>
              <option value="offline">offline</option>
              <option value="never_seen">never seen</option>
            </select>
          </label>
        </div>
        <Table
          caption="Nodes"
          head={["Name", "State", "Tier", "Site", "Version", ">Round trip", ">Events/s", ">Decision p99", ">Waiting", ">Cache hits"]}
        >
          {tree.parent && text === "" && state === "" && <ParentRow parent={tree.parent} />}
          {shown.map(({ node, depth, parent }) => (
            <Row
              key={node.id}
              node={node}
              depth={text === "" && state === "" ? depth : 0}
              parent={parent}
              isSelf={node.id === tree.self.id}
            />
          ))}
          {neverSeen.map((name) => (
            <tr key={name}>
              <th scope="row" class="depth depth-1">
                {name}
              </th>
              <td>
                <StateMark state="never_seen" />
              </td>
              <td colSpan={8}>It is expected (node.children) and never reported.</td>
            </tr>
          ))}
        </Table>
        {found.length + neverSeen.length === 0 && <p class="quiet">No node is like that.</p>}
        {tree.left_out > 0 && <p class="quiet">There was no room for {tree.left_out} reports of further nodes.</p>}
      </section>
    </Page>
  );
}
