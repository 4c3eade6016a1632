// The table of endpoints; a press on one shows it alone in the chart.

import { $, cell, h, keyed, NAMELESS, s, theirs } from "./elements.js";
import { choose, KINDS } from "./flow.js";
import { page } from "./state.js";
import { count, sum, took } from "./words.js";

function spark(series) {
  const coarse = [];
  for (let index = 0; index < series.length; index += 2) coarse.push(series[index] + (series[index + 1] ?? 0));
  const most = Math.max(1, ...coarse);
  const svg = s("svg", { class: "spark", viewBox: "0 0 120 26", preserveAspectRatio: "none", "aria-hidden": "true" });
  const points = coarse.map((value, index) => `${index ? "L" : "M"}${((index * 120) / (coarse.length - 1)).toFixed(1)} ${(24 - (22 * value) / most).toFixed(1)}`).join("");
  svg.append(s("path", { class: "area", d: `${points}L120 25L0 25Z` }), s("path", { class: "line deliveries", d: points }));
  return svg;
}

export function showEndpoints({ endpoints }) {
  $("endpoints-empty").hidden = endpoints.length > 0;
  const measured = endpoints.some((one) => one.budget !== null);
  $("budget-head").hidden = !measured;
  keyed($("endpoint-rows"), endpoints, (one) => one.name, (one) => {
    const row = h("tr");
    let told = "";
    return {
      elements: [row],
      update(fresh) {
        row.classList.toggle("chosen", fresh.name === page.chosen);
        const text = JSON.stringify([fresh, page.chosen, measured]);
        if (text === told) return;
        told = text;
        const focused = row.contains(document.activeElement);
        const numbers = Object.fromEntries(KINDS.map(([kind]) => [kind, sum(fresh.series[kind])]));
        const name = h("button", { class: "plain", type: "button", "aria-pressed": String(fresh.name === page.chosen), title: "Show only this one in the chart", onclick: () => choose(fresh.name) }, theirs(fresh.name || NAMELESS));
        row.replaceChildren(
          h("td", { class: "endpoint" }, name, h("small", {}, fresh.name === "" ? "none of those configured" : fresh.enabled ? fresh.provider : `${fresh.provider}, disabled`)),
          cell("Over time", spark(fresh.series.deliveries)),
          cell("Deliveries", count(numbers.deliveries), { class: "number brief" }),
          cell("Events", count(numbers.events), { class: "number brief" }),
          cell("Rejected", h("span", { class: numbers.rejected ? "alarm" : "quiet" }, count(numbers.rejected)), { class: "number brief" }),
          cell("Retries", h("span", { class: numbers.duplicates ? "" : "quiet" }, count(numbers.duplicates)), { class: "number brief" }),
          cell("Latency", fresh.latency ? `${took(fresh.latency.median_ms)} · ${took(fresh.latency.p99_ms)}` : h("span", { class: "quiet" }, "no event"), { class: "number" }),
          measured ? cell("Failure budget", budget(fresh.budget), { class: "number" }) : "",
        );
        if (focused) name.focus();
      },
    };
  });
}

function budget(left) {
  if (left === null) return h("span", { class: "quiet" }, "not measured");
  const percent = Math.max(0, Math.round(left * 100));
  return [h("meter", { class: "meter", min: 0, max: 1, low: 0.5, optimum: 1, value: Math.max(0, left), "aria-label": "Failure budget left" }), `${percent} %`];
}
