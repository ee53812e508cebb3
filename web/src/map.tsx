// The world, and the nodes that say where they are.

import { geoGraticule10, geoNaturalEarth1, geoPath } from "d3-geo";
import { useEffect, useMemo, useState } from "preact/hooks";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import type { Node } from "./api";

const kWidth = 960;
const kHeight = 470;
const projection = geoNaturalEarth1().fitSize([kWidth, kHeight], { type: "Sphere" });
const path = geoPath(projection).digits(1);
const graticule = path(geoGraticule10()) ?? "";

let land: string | undefined;

function useLand(): { drawn: string | undefined; isMissing: boolean } {
  const [drawn, set] = useState(land);
  const [isMissing, setMissing] = useState(false);
  useEffect(() => {
    if (land !== undefined) return;
    // A file of the node's own; the page is there before it.
    import("world-atlas/land-110m.json").then(
      (atlas) => {
        const topology = atlas.default as unknown as Topology<{ land: GeometryCollection }>;
        land = path(feature(topology, topology.objects.land)) ?? "";
        set(land);
      },
      () => setMissing(true),
    );
  }, []);
  return { drawn, isMissing };
}

interface Spot {
  x: number;
  y: number;
  nodes: Node[];
}

export function WorldMap({ self, nodes }: { self: Node; nodes: Map<string, Node> }) {
  const { drawn, isMissing } = useLand();
  const all = [self, ...nodes.values()].filter((node) => node.latitude !== null && node.longitude !== null);
  const where = (node: Node) => projection([node.longitude!, node.latitude!])!;
  // Nodes of one place are one spot.
  const spots = useMemo(() => {
    const found = new Map<string, Spot>();
    for (const node of all) {
      const [x, y] = where(node);
      const key = `${Math.round(x / 6)} ${Math.round(y / 6)}`;
      const spot = found.get(key);
      if (spot) spot.nodes.push(node);
      else found.set(key, { x, y, nodes: [node] });
    }
    return [...found.values()];
  }, [self, nodes, all.length, all.map((node) => node.state[0]).join("")]);
  const byId = new Map(all.map((node) => [node.id!, node]));
  const lines = all.flatMap((node) => {
    const parent = node.parent === null ? undefined : byId.get(node.parent);
    if (!parent || (parent.latitude === node.latitude && parent.longitude === node.longitude)) return [];
    const d = path({
      type: "LineString",
      coordinates: [
        [node.longitude!, node.latitude!],
        [parent.longitude!, parent.latitude!],
      ],
    });
    return d ? [{ d, state: node.state, id: node.id! }] : [];
  });
  const bad = all.filter((node) => node.state !== "live").length;
  const label =
    all.length === 0
      ? "A map of the world. No node says where it is."
      : `A map of the world with ${all.length} nodes in ${spots.length} places; ${bad} of them are not live. The table has them all.`;
  return (
    <>
      <svg class="map" viewBox={`0 0 ${kWidth} ${kHeight}`} role="img" aria-label={label}>
        <path class="graticule" d={graticule} />
        {drawn && <path class="land" d={drawn} />}
        {lines.map((line) => (
          <path key={line.id} class={`way ${line.state}`} d={line.d} />
        ))}
        {spots.map((spot) => {
          const worst =
            spot.nodes.find((node) => node.state === "offline") ??
            spot.nodes.find((node) => node.state === "stale") ??
            spot.nodes[0]!;
          const names = spot.nodes.slice(0, 8).map((node) => `${node.name}: ${node.state}`);
          if (spot.nodes.length > 8) names.push(`and ${spot.nodes.length - 8} more`);
          const size = 7 + Math.min(9, 2 * Math.log2(spot.nodes.length));
          return (
            <g key={`${spot.x} ${spot.y}`} class={`spot ${worst.state}`} transform={`translate(${spot.x},${spot.y})`}>
              <title>{names.join("\n")}</title>
              {worst.state === "offline" ? (
                <rect x={-size} y={-size} width={2 * size} height={2 * size} rx={2} />
              ) : (
                <circle r={size} />
              )}
              {spot.nodes.length > 1 && <text dy="0.36em">{spot.nodes.length}</text>}
            </g>
          );
        })}
      </svg>
      {isMissing && <p class="quiet">The node did not give out the coasts: the map is without them until the page is loaded anew.</p>}
      {all.length === 0 && (
        <p class="quiet">
          No node says where it is. Set <code>node.position</code> to degrees or a city, and <code>node.site</code> to a name.
        </p>
      )}
    </>
  );
}
