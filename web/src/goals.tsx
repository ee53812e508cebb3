// Goals: what it is built for, and what is measured now.

import type { Goal } from "./api";
import { microseconds, milliseconds, percent } from "./format";
import { kWaiting, Page, Table } from "./parts";
import { useKnown } from "./state";

function shown(goal: Goal, value: number | null): string {
  if (goal.unit === "ratio") return percent(value);
  return goal.unit === "us" ? microseconds(value) : milliseconds(value);
}

export function GoalsPage() {
  const { goals } = useKnown();
  return (
    <Page title="Goals">
      {!goals && <p class="quiet">{kWaiting}</p>}
      <section class="card goals">
        <Table caption="Goals" head={["Figure", ">Measured", ">Goal", "Met", "Over"]}>
          {(goals ?? []).map((goal) => (
            <tr key={goal.id}>
              <th scope="row">{goal.name}</th>
              <td class="right">
                <b data-id={`goal-${goal.id}`}>{shown(goal, goal.measured)}</b>
              </td>
              <td class="right">
                {goal.is === null ? "–" : `${goal.is === "below" ? "<" : ">"} ${shown(goal, goal.goal)}`}
              </td>
              <td>
                {goal.met === null ? (
                  <span class="quiet">{goal.is === null ? "no goal" : "not measured yet"}</span>
                ) : (
                  <span class={goal.met ? "verdict met" : "verdict missed"}>{goal.met ? "✓ met" : "✗ not met"}</span>
                )}
              </td>
              <td>{goal.over}</td>
            </tr>
          ))}
        </Table>
      </section>
    </Page>
  );
}
