// The dashboard: which page, how the node is reached, colours.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { kTokenPattern, token } from "./api";
import { EventsPage } from "./events";
import { moment } from "./format";
import { GoalsPage } from "./goals";
import { InsightsPage } from "./insights";
import { NodePage } from "./node";
import { Page, type Scheme, setScheme, storedScheme } from "./parts";
import { RequestsPage } from "./requests";
import { reconnect, run, useKnown } from "./state";
import { TreePage } from "./tree";

const kPages = [
  ["#/", "Tree"],
  ["#/events", "Events"],
  ["#/requests", "Requests"],
  ["#/insights", "Insights"],
  ["#/goals", "Goals"],
] as const;

function useHash(): string {
  const [hash, set] = useState(location.hash || "#/");
  useEffect(() => {
    const look = () => {
      set(location.hash || "#/");
      scrollTo(0, 0);
    };
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return hash;
}

function TokenForm({ refusal }: { refusal: string }) {
  const [value, setValue] = useState("");
  return (
    <Page title="This node asks for a token">
      <p class="lead" role="alert">
        {refusal}
      </p>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          token.set(value);
          reconnect();
        }}
      >
        <label>
          <span>Token</span>
          <input
            type="password"
            value={value}
            onInput={(event) => setValue(event.currentTarget.value.trim())}
            pattern={kTokenPattern}
            title="Letters, digits and signs of ASCII, without blanks: as in the node's token file"
            required
          />
        </label>
        <button type="submit">Use it</button>
      </form>
    </Page>
  );
}

function SchemeChoice() {
  const [scheme, set] = useState<Scheme>(storedScheme());
  return (
    <label class="scheme">
      <span>Colours</span>
      <select
        value={scheme}
        onChange={(event) => {
          const chosen = event.currentTarget.value as Scheme;
          set(chosen);
          setScheme(chosen);
        }}
      >
        <option value="auto">auto</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </label>
  );
}

function App() {
  const { connection, tree, insights, heard, refusal } = useKnown();
  const hash = useHash();
  const id = /^#\/node\/([0-9a-f]{32})$/.exec(hash)?.[1];
  const warnings = (insights ?? []).filter((each) => each.level === "warning").length;
  const lost = connection === "lost";
  return (
    <div class={lost ? "app lost" : "app"}>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.querySelector<HTMLElement>("#main h1")?.focus();
      }}>
        To the content
      </a>
      <header>
        <a class="brand" href="#/">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M7 9l9 15 9-15" />
            <circle cx="16" cy="9" r="2.6" />
          </svg>
          <span>{tree?.self.name ?? "Verge"}</span>
        </a>
        <nav aria-label="Pages">
          <ul>
            {kPages.map(([to, name]) => (
              <li key={to}>
                <a href={to} aria-current={hash === to ? "page" : undefined}>
                  {name}
                  {to === "#/insights" && warnings > 0 && (
                    <span class="badge">
                      {warnings}
                      <span class="hidden"> warnings</span>
                    </span>
                  )}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="corner">
          <span class={`link ${connection}`} role="status">
            <span aria-hidden="true">{connection === "live" ? "●" : "■"}</span>{" "}
            {connection === "live" ? "connected" : connection === "connecting" ? "connecting" : connection === "refused" ? "refused" : "lost"}
          </span>
          <SchemeChoice />
        </div>
      </header>
      {lost && (
        <div class="banner" role="alert">
          {refusal ? <b>The node turns this page away: {refusal}.</b> : <b>Lost the node.</b>} {tree ? `What you see is of ${moment(heard)}.` : "It has not answered yet."} It is tried again every
          second.
        </div>
      )}
      {connection === "refused" ? (
        <TokenForm refusal={refusal} />
      ) : id ? (
        <NodePage id={id} key={id} />
      ) : hash === "#/events" ? (
        <EventsPage />
      ) : hash === "#/requests" ? (
        <RequestsPage />
      ) : hash === "#/insights" ? (
        <InsightsPage />
      ) : hash === "#/goals" ? (
        <GoalsPage />
      ) : (
        <TreePage />
      )}
      <footer>
        {tree && (
          <span>
            {tree.self.tier} · version {tree.self.version} · <a href="v1/openapi.json">API</a> · <a href="licences.txt">Licences</a>
          </span>
        )}
      </footer>
    </div>
  );
}

setScheme(storedScheme());
render(<App />, document.getElementById("app")!);
void run();
