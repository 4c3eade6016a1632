// The chart of what came in and what went out, of all endpoints or the chosen one.

import { $, h, NAMELESS, part, s, theirs } from "./elements.js";
import { page } from "./state.js";
import { count, minute, sum, total, when } from "./words.js";

export const KINDS = [["deliveries", "Deliveries"], ["events", "Events"], ["rejected", "Rejected"], ["duplicates", "Retries"]];

let cursor = null; // the bucket under the pointer

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const step = [1, 2, 4, 5, 10].find((one) => one * power * 4 >= most) * power;
  const whole_step = Math.max(1, step / (step >= 4 && step * 2 >= most ? 2 : 1));
  const steps = Math.max(2, Math.ceil(most / Math.round(whole_step)));
  return { step: Math.round(whole_step), top: Math.round(whole_step) * steps };
}

export function showChart(picture) {
  const box = $("chart");
  const width = box.clientWidth, height = box.clientHeight;
  if (!width || !height) return;
  const series = Object.fromEntries(KINDS.map(([kind]) => [kind, total(picture, kind, page.chosen)]));
  const buckets = series.deliveries.length || 120;
  const { step, top } = nice(Math.max(4, ...Object.values(series).flat()));
  const left = 40, right = width - 6, low = height - 24, high = 10;
  const x = (index) => left + ((right - left) * (index + 0.5)) / buckets;
  const y = (value) => low - ((low - high) * value) / top;
  const begin = Math.floor(picture.now / picture.bucket_ms) * picture.bucket_ms - (buckets - 1) * picture.bucket_ms;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(series) });
  for (let value = 0; value <= top; value += step) {
    svg.append(s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, count(value)));
  }
  const unread = Math.min(buckets, Math.max(0, (picture.whole_since - begin) / picture.bucket_ms));
  if (unread > 0) svg.append(s("rect", { class: "unread", x: left, y: high, width: ((right - left) * unread) / buckets, height: low - high }),
    s("text", { x: left + 8, y: high + 16 }, unread > 20 ? "before the console began to read" : ""));
  const every = width < 520 ? 600000 : 300000;
  for (let at = Math.ceil(begin / every) * every; at <= picture.now; at += every) {
    svg.append(s("text", { x: x((at - begin) / picture.bucket_ms), y: height - 6, "text-anchor": "middle" }, minute.format(at)));
  }
  const path = (values) => values.map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  svg.append(s("path", { class: "area", d: `${path(series.deliveries.slice(0, -1))}L${x(buckets - 2)} ${low}L${x(0)} ${low}Z` }));
  const thick = Math.max(2, ((right - left) / buckets) * 0.7);
  series.rejected.forEach((value, index) => {
    if (value) svg.append(s("rect", { class: "bar", x: x(index) - thick / 2, y: Math.min(y(value), low - 2), width: thick, height: Math.max(2, low - y(value)), rx: 1 }));
  });
  for (const kind of ["duplicates", "events", "deliveries"]) {
    if (kind === "duplicates" && !sum(series.duplicates)) continue;
    const last = buckets - 1, before = series[kind][last - 1];
    // The last bucket is not over yet, which must not look like a fall.
    svg.append(s("path", { class: `line ${kind}`, d: path(series[kind].slice(0, -1)) }),
      s("path", { class: `line unfinished ${kind}`, d: `M${x(last - 1)} ${y(before)}L${x(last)} ${y(series[kind][last])}` }));
  }
  const parts = [svg];
  if (cursor !== null && cursor < buckets) {
    svg.append(s("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: high, y2: low }));
    const tip = h("div", { class: "tip", role: "status" }, when(begin + cursor * picture.bucket_ms), KINDS.map(([kind, name]) => h("div", {}, `${name} ${count(series[kind][cursor])}`)));
    if (x(cursor) > width / 2) tip.style.right = `${width - x(cursor) + 10}px`;
    else tip.style.left = `${x(cursor) + 10}px`;
    parts.push(tip);
  }
  box.replaceChildren(...parts);
  part("legend", KINDS.map(([kind, name]) => [kind, name, count(sum(series[kind]))]), (entries) => entries.map(([kind, name, number]) =>
    h("li", {}, h("span", { class: `key ${kind}` }), name, h("b", {}, number))));
  part("flow-of", [page.chosen, width < 520], () => [page.chosen === null ? "all endpoints" : theirs(page.chosen || NAMELESS), ", last 30 minutes, per 15 s",
    page.chosen === null ? null : h("span", {}, " · ", h("button", { class: "plain", type: "button", onclick: () => choose(null) }, "show all"))].filter(Boolean));
}

const summary = (series) => `Last 30 minutes: ${KINDS.map(([kind, name]) => `${sum(series[kind])} ${name.toLowerCase()}`).join(", ")}`;

export function choose(name) {
  page.chosen = page.chosen === name ? null : name;
  if (page.latest) page.show();
}

function moveCursor(index) {
  cursor = index === null ? null : Math.max(0, Math.min(119, index));
  if (page.latest) showChart(page.latest);
}

export function listenToChart() {
  const box = $("chart");
  box.addEventListener("pointermove", (event) => {
    const edge = box.getBoundingClientRect();
    moveCursor(Math.floor(((event.clientX - edge.left - 40) / (edge.width - 46)) * 120));
  });
  for (const gone of ["pointerleave", "blur"]) box.addEventListener(gone, () => moveCursor(null));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    moveCursor((cursor ?? 119) + step);
  });
  new ResizeObserver(() => page.latest && showChart(page.latest)).observe(box);
}
