// Events: what comes in, what is decided, what waits, what is sent; and what happens, as it happens.

import { useEffect, useRef, useState } from "preact/hooks";
import { listen, said, type Tailed } from "./api";
import { bytes, clock, count, microseconds, milliseconds, number, percent } from "./format";
import { Card, Chart, Page, Table, Tiles } from "./parts";
import { useKnown } from "./state";

const kLines = 200;

const encoder = new TextEncoder();
const bytesOf = (text: string) => encoder.encode(text).length; // as UTF-8

function Tail() {
  const [filter, setFilter] = useState("#");
  const [asked, setAsked] = useState("#");
  const [running, setRunning] = useState(false);
  const [isOpen, setOpen] = useState(false); // what happens from now on is shown
  const [lines, setLines] = useState<Tailed[]>([]);
  const [missing, setMissing] = useState(0);
  const [problem, setProblem] = useState("");
  const gathered = useRef<Tailed[]>([]);

  useEffect(() => {
    if (!running) return;
    const controller = new AbortController();
    gathered.current = [];
    setLines([]);
    setMissing(0);
    setProblem("");
    setOpen(false);
    let waiting = false;
    const path = `v1/tail?topic=${encodeURIComponent(asked)}`;
    listen(
      path,
      controller.signal,
      () => setOpen(true),
      (name, data) => {
        if (name === "missing") setMissing((before) => before + JSON.parse(data).count);
        if (name !== "event") return;
        gathered.current.unshift(JSON.parse(data));
        gathered.current.length = Math.min(gathered.current.length, kLines);
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => {
          waiting = false;
          setLines([...gathered.current]);
        });
      },
    )
      .then(() => {
        setProblem("the node ended it");
        setRunning(false);
      })
      .catch((error: unknown) => {
        if (controller.signal.aborted) return;
        setProblem(said(error));
        setRunning(false);
      });
    return () => controller.abort();
  }, [running, asked]);

  return (
    <Card title="Live tail" wide>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(filter);
          setRunning(true);
        }}
      >
        <label>
          <span>Topic filter</span>
          <input value={filter} onInput={(event) => setFilter(event.currentTarget.value)} spellcheck={false} />
        </label>
        <button type="submit">{running && asked !== filter ? "Filter" : "Watch"}</button>
        <button type="button" disabled={!running} onClick={() => setRunning(false)}>
          Stop
        </button>
        <span class="quiet" role="status">
          {running ? (isOpen ? "watching" : "asking the node") : problem ? `not watching any more: ${problem}` : "not watching"}
          {missing > 0 && `, ${count(missing)} left out`}
        </span>
      </form>
      <div class="tail scroll" role="log" aria-label="Events" aria-live="off" tabIndex={0}>
        {lines.length === 0 && <p class="quiet">{running ? "Nothing happened yet." : "Events show up here while you watch."}</p>}
        <ol>
          {lines.map((line, index) => (
            <li key={`${line.time_ms}-${lines.length - index}`}>
              <time>{clock(line.time_ms)}</time> <span class={`kind ${line.kind}`}>{line.kind}</span>{" "}
              <b>{line.topic}</b> {line.rule && <span class="tag">{line.rule}</span>} <code>{line.payload}</code>
              {line.payload_bytes > bytesOf(line.payload) && " …"}
            </li>
          ))}
        </ol>
      </div>
    </Card>
  );
}

export function EventsPage() {
  const { now } = useKnown();
  const figures = now?.figures ?? {};
  const received = now?.totals["received_bytes"] ?? 0;
  const sent = now?.totals["sent_bytes"] ?? 0;
  return (
    <Page title="Events">
      <Tiles
        tiles={[
          { label: "Events in", value: number(figures["events_per_s"], "/s"), id: "events_per_s" },
          { label: "Events since the start", value: count(now?.totals["events"]), id: "events" },
          { label: "Decisions", value: number(figures["decisions_per_s"], "/s"), id: "decisions_per_s" },
          { label: "Decision p50", value: microseconds(figures["decision_p50_us"]), id: "decision_p50_us" },
          { label: "Decision p99", value: microseconds(figures["decision_p99_us"]), id: "decision_p99_us" },
          { label: "Under 1 ms", value: percent(figures["decisions_under_1ms"]), id: "decisions_under_1ms" },
          {
            label: "Sent up of what came in",
            value: now?.has_parent && received > 0 ? percent(sent / received) : percent(null),
            note: now?.has_parent ? `${bytes(sent)} of ${bytes(received)}` : "no parent",
          },
          {
            label: "Dead letters",
            value: count(figures["dead_letters"]),
            id: "dead_letters",
            bad: (figures["dead_letters"] ?? 0) > 0,
          },
          { label: "Line to the parent", value: bytes(figures["line_bytes_per_s"], "/s"), id: "line_bytes_per_s" },
          { label: "Compression level", value: count(figures["compression_level"]), id: "compression_level" },
        ]}
      />
      <div class="charts">
        <Chart
          title="Events and decisions a second"
          lines={[
            { series: "events_per_s", label: "events" },
            { series: "decisions_per_s", label: "decisions" },
          ]}
          show={(value) => number(value)}
        />
        <Chart
          title="Time to a decision"
          lines={[
            { series: "decision_p99_us", label: "p99" },
            { series: "decision_p50_us", label: "p50" },
          ]}
          show={microseconds}
        />
        <Chart
          title="Bytes a second"
          lines={[
            { series: "received_bytes_per_s", label: "in" },
            { series: "sent_bytes_per_s", label: "sent up" },
          ]}
          show={(value) => bytes(value)}
        />
        <Chart title="Records that wait" lines={[{ series: "waiting_records", label: "waiting" }]} show={count} />
      </div>
      <Card title="Queues to the parent" wide>
        {now && !now.has_parent ? (
          <p class="quiet">This node has no parent: what comes here stays here.</p>
        ) : (
          <Table caption="Queues by priority" head={["Priority", ">Waiting", ">Oldest", ">On the disk", ">Dropped"]}>
            {(now?.queues ?? []).map((queue) => (
              <tr key={queue.priority}>
                <th scope="row">{queue.priority}</th>
                <td class="right">{count(queue.records)}</td>
                <td class="right">{queue.records > 0 ? milliseconds(queue.oldest_ms) : "–"}</td>
                <td class="right">{bytes(queue.bytes)}</td>
                <td class="right">{count(queue.dropped)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
      <Tail />
    </Page>
  );
}
