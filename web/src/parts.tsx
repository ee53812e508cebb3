// What pages are made of.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { State } from "./api";
import { nothing } from "./format";
import { useKnown } from "./state";

export const kReportedLast = "What it reported last.";
export const kWaiting = "Waiting for the node.";

const kStates: Record<State, [string, string]> = {
  live: ["●", "live"],
  stale: ["◐", "stale"],
  offline: ["■", "offline"],
  never_seen: ["○", "never seen"],
};

export function StateMark({ state }: { state: State }) {
  const [symbol, word] = kStates[state];
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{symbol}</span> {word}
    </span>
  );
}

export function Page({ title, children, lead }: { title: string; lead?: string; children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Verge`;
    // Whoever came by a link hears where they are now.
    if (document.activeElement && document.activeElement !== document.body) heading.current?.focus();
  }, [title]);
  return (
    <main id="main">
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      {lead && <p class="lead">{lead}</p>}
      {children}
    </main>
  );
}

export interface TileProps {
  label: string;
  value: string;
  note?: string;
  id?: string;
  bad?: boolean;
}

// `areOld`: of who does not say more.
export function Tiles({ tiles, areOld }: { tiles: TileProps[]; areOld?: boolean }) {
  return (
    <dl class={areOld ? "tiles old" : "tiles"}>
      {tiles.map((tile) => (
        <div class={tile.bad ? "tile bad" : "tile"} key={tile.label}>
          <dt>{tile.label}</dt>
          <dd>
            <span class={tile.value === nothing ? "value none" : "value"} data-id={tile.id}>
              {tile.value}
            </span>
            {tile.note && <span class="note">{tile.note}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function Card({ title, children, wide }: { title: string; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "card wide" : "card"}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function Table({ caption, head, children }: { caption: string; head: string[]; children: ComponentChildren }) {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {head.map((name) => (
              <th scope="col" key={name} class={name.startsWith(">") ? "right" : undefined}>
                {name.replace(/^>/, "")}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

// The beginning of a long list, and a button for the rest of it.
export function useBeginning<T>(list: T[], most: number): [T[], ComponentChildren] {
  const [all, setAll] = useState(false);
  if (all || list.length <= most) return [list, null];
  return [
    list.slice(0, most),
    <button type="button" class="more" onClick={() => setAll(true)}>
      Show all {list.length}
    </button>,
  ];
}

export interface Line {
  series: string;
  label: string;
  scale?: number; // what values are multiplied by
}

const kInks = ["--ink-1", "--ink-2", "--ink-3"];

// The last hour of some figures.
export function Chart({ title, lines, show }: { title: string; lines: Line[]; show: (value: number) => string }) {
  const { history, historyProblem, now } = useKnown();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const scheme = useScheme();

  const data = (): uPlot.AlignedData => [
    (history?.times_ms ?? []).map((time) => time / 1000),
    ...lines.map((line) =>
      (history?.series[line.series] ?? []).map((value) => (value === null ? null : value * (line.scale ?? 1))),
    ),
  ];

  useEffect(() => {
    const element = place.current!;
    const style = getComputedStyle(document.documentElement);
    const ink = (name: string) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: ink("--faint"),
      grid: { stroke: ink("--rule"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height: 150,
        cursor: { y: false, points: { size: 6 } },
        legend: { show: false },
        padding: [8, 8, 0, 0],
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.1 : 1] } },
        axes: [
          { ...axis, space: 70, values: (_, times) => times.map((time) => shortTime(time)) },
          { ...axis, size: 64, space: 30, values: (_, values) => values.map((value) => show(value)) },
        ],
        series: [
          {},
          ...lines.map((line, index) => ({
            label: line.label,
            stroke: ink(kInks[index]!),
            width: 1.75,
            dash: index === 1 ? [6, 3] : index === 2 ? [2, 3] : undefined,
            points: { show: false },
            spanGaps: false,
          })),
        ],
      },
      data(),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: 150 }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [scheme, history === null]);

  useEffect(() => plot.current?.setData(data()), [now?.time_ms, history]);

  const latest = lines.map((line) => {
    const value = now?.figures[line.series];
    return value === null || value === undefined ? nothing : show(value * (line.scale ?? 1));
  });
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {lines.map((line, index) => (
            <span key={line.series}>
              <i class={`dash dash-${index + 1}`} aria-hidden="true" /> {line.label} <b>{latest[index]}</b>
            </span>
          ))}
        </span>
      </figcaption>
      {!history && historyProblem && <p class="quiet">No last hour to show: {historyProblem}. It is asked for again.</p>}
      <div ref={place} class="plot" role="img" aria-label={`${title} over the last hour`} />
    </figure>
  );
}

function shortTime(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

export type Scheme = "auto" | "light" | "dark";

export function setScheme(scheme: Scheme) {
  localStorage.setItem("verge-scheme", scheme);
  if (scheme === "auto") delete document.documentElement.dataset.scheme;
  else document.documentElement.dataset.scheme = scheme;
  window.dispatchEvent(new Event("scheme"));
}

export function storedScheme(): Scheme {
  const stored = localStorage.getItem("verge-scheme");
  return stored === "light" || stored === "dark" ? stored : "auto";
}

// Which colours are in effect; what draws them by itself draws anew when they change.
export function useScheme(): string {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => (storedScheme() === "auto" ? (dark.matches ? "dark" : "light") : storedScheme());
  const [scheme, set] = useState(now);
  useEffect(() => {
    const look = () => set(now());
    dark.addEventListener("change", look);
    window.addEventListener("scheme", look);
    return () => {
      dark.removeEventListener("change", look);
      window.removeEventListener("scheme", look);
    };
  }, []);
  return scheme;
}
