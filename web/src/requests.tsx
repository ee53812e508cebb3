// Requests: how sites are served, what is asked for most, and purges by hand.

import { useState } from "preact/hooks";
import { type Popular, post, said, type Worker } from "./api";
import { bytes, count, microseconds, milliseconds, number, percent } from "./format";
import { Card, Chart, kWaiting, Page, Table, Tiles } from "./parts";
import { useAnswer, useKnown } from "./state";

const kEvery = 5000;

const kKinds = { tags: "tag", urls: "URL", prefixes: "beginning of URLs", hosts: "host" } as const;
type Kind = keyof typeof kKinds;

function PurgeForm() {
  const [kind, setKind] = useState<Kind>("urls");
  const [what, setWhat] = useState("");
  const [soft, setSoft] = useState(false);
  const [outcome, setOutcome] = useState("");
  const [failed, setFailed] = useState(false);
  const purge = async (event: Event) => {
    event.preventDefault();
    try {
      const answer = await post<{ purges: number }>("v1/purge", { [kind]: [what.trim()], soft });
      setFailed(false);
      setOutcome(`Done: ${what.trim()} (${answer.purges === 1 ? "one purge" : `${answer.purges} purges`}) is in effect.`);
    } catch (problem) {
      setFailed(true);
      setOutcome(said(problem));
    }
  };
  return (
    <Card title="Purge">
      <form class="stack" onSubmit={purge}>
        <label>
          <span>By</span>
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
            {Object.entries(kKinds).map(([key, word]) => (
              <option value={key} key={key}>
                {word}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>What</span>
          <input
            value={what}
            onInput={(event) => setWhat(event.currentTarget.value)}
            required
            spellcheck={false}
            placeholder={kind === "tags" ? "product-17" : kind === "hosts" ? "www.example.com" : "http://www.example.com/"}
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={soft} onChange={(event) => setSoft(event.currentTarget.checked)} />
          <span>softly: serve it stale while it is fetched anew</span>
        </label>
        <button type="submit">Purge</button>
        <p role="status" class={failed ? "outcome failed" : "outcome"}>
          {outcome}
        </p>
      </form>
    </Card>
  );
}

// Where there is no list to show: why.
function NoList({ problem, none, list }: { problem: string; none: string; list: unknown[] | undefined }) {
  if (list) return <p class="quiet">{none}</p>;
  return problem ? <p class="outcome failed">This could not be read: {problem}.</p> : <p class="quiet">{kWaiting}</p>;
}

interface Asked<T> {
  list: T[] | undefined; // not known yet
  problem: string;
}

function MostAsked({ title, none, list, problem }: Asked<Popular["urls"][0]> & { title: string; none: string }) {
  return (
    <Card title={title}>
      {!list?.length ? (
        <NoList list={list} problem={problem} none={none} />
      ) : (
        <Table caption={title} head={["What", ">Share"]}>
          {list.slice(0, 12).map((each) => (
            <tr key={each.key}>
              <th scope="row" class="url">
                {each.key}
              </th>
              <td class="right">{percent(each.share)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}

function Workers({ list, problem }: Asked<Worker>) {
  return (
    <Card title="Workers">
      {!list?.length ? (
        <NoList list={list} problem={problem} none="No worker runs at this node." />
      ) : (
        <Table
          caption="Workers"
          head={["Name", ">Calls", ">Errors", ">Limited", ">CPU a call", ">Memory", ">p50", ">p99"]}
        >
          {list.map((each) => (
            <tr key={each.name} data-worker={each.name}>
              <th scope="row" title={[...each.routes, ...each.cron].join("\n")}>
                {each.name}
              </th>
              <td class="right">{count(each.calls)}</td>
              <td class={each.errors > 0 ? "right bad" : "right"}>{count(each.errors)}</td>
              <td class={each.limited > 0 ? "right bad" : "right"}>{count(each.limited)}</td>
              <td class="right">{microseconds(each.calls > 0 ? (each.cpu_s / each.calls) * 1e6 : null)}</td>
              <td class="right">{bytes(each.memory_bytes)}</td>
              <td class="right">{microseconds(each.calls > 0 ? each.p50_us : null)}</td>
              <td class="right">{microseconds(each.calls > 0 ? each.p99_us : null)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}

export function RequestsPage() {
  const { now } = useKnown();
  const popular = useAnswer<Popular>("v1/requests", kEvery);
  const asked = useAnswer<{ workers: Worker[] }>("v1/workers", kEvery);
  const workers = { list: asked.answer?.workers, problem: asked.problem };
  const figures = now?.figures ?? {};
  if (now && !now.has_sites) {
    return (
      <Page title="Requests">
        <p class="quiet">
          This node serves no site. Add a <code>[[site]]</code> to its configuration, and requests to its hosts are answered
          from the cache here.
        </p>
        {(workers.list?.length || workers.problem) && <Workers {...workers} />}
      </Page>
    );
  }
  return (
    <Page title="Requests">
      <Tiles
        tiles={[
          { label: "Requests", value: number(figures["requests_per_s"], "/s"), id: "requests_per_s" },
          { label: "Requests since the start", value: count(now?.totals["requests"]), id: "requests" },
          { label: "p50", value: milliseconds(figures["request_p50_ms"]), id: "request_p50_ms" },
          { label: "p99", value: milliseconds(figures["request_p99_ms"]), id: "request_p99_ms" },
          { label: "Answered at the edge", value: percent(figures["edge_hit_ratio"]), id: "edge_hit_ratio" },
          { label: "Cache hits", value: percent(figures["cache_hit_ratio"]), id: "cache_hit_ratio" },
          { label: "Origin, half within", value: milliseconds(figures["origin_p50_ms"]), id: "origin_p50_ms" },
          { label: "Collapsed", value: number(figures["collapsed_per_s"], "/s"), id: "collapsed_per_s" },
          { label: "Stale", value: number(figures["stale_per_s"], "/s"), id: "stale_per_s" },
          {
            label: "Not answered",
            value: number(figures["failures_per_s"], "/s"),
            id: "failures_per_s",
            bad: (figures["failures_per_s"] ?? 0) > 0,
          },
        ]}
      />
      <div class="charts">
        <Chart title="Requests a second" lines={[{ series: "requests_per_s", label: "requests" }]} show={(value) => number(value)} />
        <Chart
          title="Time to an answer"
          lines={[
            { series: "request_p99_ms", label: "p99" },
            { series: "request_p50_ms", label: "p50" },
            { series: "origin_p50_ms", label: "origin p50" },
          ]}
          show={milliseconds}
        />
        <Chart
          title="Hits"
          lines={[
            { series: "edge_hit_ratio", label: "at the edge" },
            { series: "cache_hit_ratio", label: "cache" },
          ]}
          show={(value) => percent(value)}
        />
      </div>
      <div class="columns even">
        <MostAsked
          title="Asked for most"
          list={popular.answer?.urls}
          problem={popular.problem}
          none="Nothing was asked for lately."
        />
        <MostAsked
          title="Tags asked for most"
          list={popular.answer?.tags}
          problem={popular.problem}
          none="No answer names tags. Origins do so in Cache-Tag or Surrogate-Key; then all of a tag can be purged at once."
        />
        <PurgeForm />
        <Workers {...workers} />
      </div>
    </Page>
  );
}
