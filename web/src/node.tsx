// One node: this one with all its figures and their last hour, another with what it reports.

import type { Node } from "./api";
import { bytes, count, duration, microseconds, milliseconds, nothing, number, percent } from "./format";
import { Card, Chart, kReportedLast, kWaiting, Page, StateMark, Table, Tiles, useBeginning } from "./parts";
import { useClock, useKnown } from "./state";

function About({ node, parent, isSelf }: { node: Node; parent: string | undefined; isSelf: boolean }) {
  const now = useClock();
  // This node is heard of with everything that comes; another with its reports.
  const age = isSelf ? 0 : node.age_ms + (now - node.heard);
  const uptime = node.uptime_s + (node.state === "offline" ? 0 : (now - node.heard) / 1000);
  const rows: [string, string][] = [
    ["Tier", node.tier],
    ["Site", node.site || nothing],
    ["Version", node.version],
    ["Parent", parent ?? nothing],
    ["Runs for", duration(uptime)],
    ["Last word", age >= 1000 ? `${duration(age / 1000)} ago` : "now"],
    ["Round trip to its parent", milliseconds(node.round_trip_ms)],
    ["Its clock before its parent's", node.skew_ms === null ? nothing : `${number(node.skew_ms)}\u202fms`],
    ["Position", node.latitude === null ? nothing : `${node.latitude.toFixed(2)}, ${node.longitude!.toFixed(2)}`],
    ["Id", node.id ?? nothing],
  ];
  return (
    <Card title="About">
      <Table caption="About this node" head={["What", "Value"]}>
        <tr>
          <th scope="row">State</th>
          <td>
            <StateMark state={node.state} />
          </td>
        </tr>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="break">{value}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function Children({ nodes }: { nodes: Node[] }) {
  const [shown, more] = useBeginning(nodes, 50);
  return (
    <Card title="Children">
      {nodes.length === 0 ? (
        <p class="quiet">No node reports to it.</p>
      ) : (
        <Table caption="Children" head={["Name", "State", ">Events/s"]}>
          {shown.map((child) => (
            <tr key={child.id}>
              <th scope="row">
                <a href={`#/node/${child.id}`}>{child.name}</a>
              </th>
              <td>
                <StateMark state={child.state} />
              </td>
              <td class="right">{number(child.figures["events_per_s"])}</td>
            </tr>
          ))}
        </Table>
      )}
      {more}
    </Card>
  );
}

export function NodePage({ id }: { id: string }) {
  const { tree, nodes, now } = useKnown();
  const isSelf = tree?.self.id === id;
  const node = isSelf ? tree.self : nodes.get(id);
  if (!tree || !node) {
    return (
      <Page title="Node">
        <p>{tree ? "No node has this id any more." : kWaiting}</p>
      </Page>
    );
  }
  const parent = isSelf
    ? (tree.parent?.name ?? tree.parent?.url)
    : node.parent === tree.self.id
      ? tree.self.name
      : nodes.get(node.parent ?? "")?.name;
  const below = [...nodes.values()]
    .filter((each) => each.parent === id)
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const isOld = !isSelf && node.state !== "live";
  const figures = isSelf && now ? now.figures : node.figures;
  return (
    <Page title={node.name} lead={isOld ? `It is ${node.state}. ${kReportedLast}` : undefined}>
      <Tiles
        areOld={isOld}
        tiles={[
          { label: "Events", value: number(figures["events_per_s"], "/s"), id: "events_per_s" },
          { label: "Decisions", value: number(figures["decisions_per_s"], "/s") },
          { label: "Decision p99", value: microseconds(figures["decision_p99_us"]) },
          { label: "Waiting records", value: count(figures["waiting_records"]) },
          { label: "Requests", value: number(figures["requests_per_s"], "/s") },
          { label: "Request p99", value: milliseconds(figures["request_p99_ms"]) },
          { label: "Cache hits", value: percent(figures["cache_hit_ratio"]) },
          { label: "Cores in use", value: number(figures["cpu_cores"]) },
          ...(isSelf
            ? [
                { label: "Memory", value: bytes(figures["resident_bytes"]), id: "resident_bytes" },
                { label: "Free on the disk", value: bytes(figures["disk_free_bytes"]) },
                { label: "MQTT connections", value: count(figures["connections"]), id: "connections" },
              ]
            : []),
        ]}
      />
      {isSelf && (
        <div class="charts">
          <Chart title="Cores in use" lines={[{ series: "cpu_cores", label: "cores" }]} show={(value) => number(value)} />
          <Chart title="Memory" lines={[{ series: "resident_bytes", label: "resident" }]} show={(value) => bytes(value)} />
          <Chart title="Connections" lines={[{ series: "connections", label: "MQTT" }]} show={count} />
          <Chart title="Free on the disk" lines={[{ series: "disk_free_bytes", label: "free" }]} show={(value) => bytes(value)} />
        </div>
      )}
      <div class="columns even">
        <About node={node} parent={parent} isSelf={isSelf} />
        <Children nodes={below} />
      </div>
      {!isSelf && (
        <p class="quiet">
          This is what it reports upwards. Its own dashboard, on its admin listener, has its queues, its history and its tail.
        </p>
      )}
    </Page>
  );
}
