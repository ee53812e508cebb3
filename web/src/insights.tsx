// Insights: what somebody should look at; and how far this tree is from a place.

import { useState } from "preact/hooks";
import { get, type Latency, said } from "./api";
import { count, milliseconds, percent } from "./format";
import { Card, kWaiting, Page, StateMark, Table, useBeginning } from "./parts";
import { useKnown } from "./state";

function Predictions({ answer }: { answer: Latency }) {
  const [shown, more] = useBeginning(answer.nodes, 10);
  return (
    <>
      <Table
        caption={`Predicted latency from ${answer.place}`}
        head={["Node", "State", "Site", ">Distance", ">Latency", ">1 in 10 below", ">1 in 10 above", ">Confidence"]}
      >
        {shown.map((each, place) => (
          <tr key={place}>
            <th scope="row">{each.node}</th>
            <td>
              <StateMark state={each.state} />
            </td>
            <td>{each.site || "–"}</td>
            <td class="right">{count(each.distance_km)} km</td>
            <td class="right">{milliseconds(each.latency_ms)}</td>
            <td class="right">{milliseconds(each.p10_ms)}</td>
            <td class="right">{milliseconds(each.p90_ms)}</td>
            <td class="right">{percent(each.confidence)}</td>
          </tr>
        ))}
      </Table>
      {more}
    </>
  );
}

function Predicted() {
  const [place, setPlace] = useState("");
  const [answer, setAnswer] = useState<Latency | null>(null);
  const [problem, setProblem] = useState("");
  const ask = async (event: Event) => {
    event.preventDefault();
    try {
      setAnswer(await get<Latency>(`v1/latency?place=${encodeURIComponent(place)}`));
      setProblem("");
    } catch (error) {
      setAnswer(null);
      setProblem(said(error));
    }
  };
  return (
    <Card title="Predicted latency" wide>
      <form class="bar" onSubmit={ask}>
        <label>
          <span>From</span>
          <input
            value={place}
            onInput={(event) => setPlace(event.currentTarget.value)}
            placeholder="London, or 51.5, 11.97"
            required
          />
        </label>
        <button type="submit">Predict</button>
        <span role="status" class={problem ? "outcome failed" : "quiet"}>
          {problem || (answer && answer.nodes.length === 0 && "No node says where it is (node.position).")}
        </span>
      </form>
      {answer && answer.nodes.length > 0 && <Predictions answer={answer} key={answer.place} />}
      <p class="quiet">From physics: light in glass over a usual detour, there and back, to the begin of an answer.</p>
    </Card>
  );
}

export function InsightsPage() {
  const { insights } = useKnown();
  return (
    <Page title="Insights">
      {!insights && <p class="quiet">{kWaiting}</p>}
      {insights && insights.length === 0 && <p class="good">Nothing needs a look: no threshold is passed here, and no node below is offline, slow, or off in its clock.</p>}
      <ul class="insights" aria-label="Insights">
        {(insights ?? []).map((each, place) => (
          <li class={`insight ${each.level}`} key={place}>
            <p class="message">
              <span class={`level ${each.level}`}>{each.level}</span> {each.message}
            </p>
            <p class="recommendation">{each.recommendation}</p>
          </li>
        ))}
      </ul>
      <Predicted />
    </Page>
  );
}
