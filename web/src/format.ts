// Numbers as people read them.

export const nothing = "–";

function rounded(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString("en-US").replace(/,/g, "\u202f");
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}

export function number(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined) return nothing;
  return rounded(value) + (unit ? `\u202f${unit}` : "");
}

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return nothing;
  return Math.round(value).toLocaleString("en-US").replace(/,/g, "\u202f");
}

export function bytes(value: number | null | undefined, suffix = ""): string {
  if (value === null || value === undefined) return nothing;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  return `${unit === 0 ? Math.round(value) : rounded(value)}\u202f${units[unit]}${suffix}`;
}

export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined) return nothing;
  const share = value * 100;
  return `${share === 100 || share === 0 ? share : share.toFixed(share >= 99 || share < 1 ? 2 : 1)}\u202f%`;
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return nothing;
  if (value >= 60_000) return duration(value / 1000);
  if (value >= 1000) return number(value / 1000, "s");
  if (value < 1 && value > 0) return number(value * 1000, "µs");
  return number(value, "ms");
}

export function microseconds(value: number | null | undefined): string {
  return milliseconds(value === null || value === undefined ? value : value / 1000);
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}\u202fh ${Math.floor((seconds % 3600) / 60)}\u202fmin`;
  return `${Math.floor(seconds / 86_400)}\u202fd ${Math.floor((seconds % 86_400) / 3600)}\u202fh`;
}

export function clock(time: number): string {
  return new Date(time).toLocaleTimeString("en-GB");
}

// With its day, unless that is today.
export function moment(time: number): string {
  const at = new Date(time);
  if (at.toDateString() === new Date().toDateString()) return clock(time);
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })}, ${clock(time)}`;
}
