// Numbers, sizes and times, as a person reads them.

import { h, theirs } from "./elements.js";
import { page } from "./state.js";

// What was asked longer ago says nothing of now; as in concerns.py.
export const STALE_MS = 15000;

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
export const count = (number) => (number >= 100000 ? short.format(number) : whole.format(number));
export const plural = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;
export const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

export function took(ms) {
  if (ms < 1000) return `${whole.format(ms)} ms`;
  if (ms < 100000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms);
}

export function bytes(number) {
  for (const [size, unit] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (number >= size) return `${(number / size).toFixed(1)} ${unit}`;
  }
  return `${whole.format(number)} B`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export function when(moment, format = clock) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return theirs(moment);
  const other = at.toDateString() === new Date(page.now).toDateString() ? "" : `${day.format(at)}, `;
  return h("time", { datetime: at.toISOString(), title: `${at.toISOString().replace("T", " ").replace("Z", "")} UTC` }, other + format.format(at));
}

export const ago = (moment) => duration(page.now - new Date(moment).getTime());
export const sinceWords = (moment) => ["since ", when(moment, minute), ` · ${ago(moment)}`];

// What all endpoints had of a kind, or the named one, bucket by bucket.
export function total(picture, kind, name = null) {
  const series = picture.endpoints.filter((one) => name === null || one.name === name).map((one) => one.series[kind]);
  return series.length ? series[0].map((_, index) => sum(series.map((one) => one[index]))) : Array(120).fill(0);
}
