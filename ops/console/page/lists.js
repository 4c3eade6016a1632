// What is newest: gaps, events, rejections.

import { reconcile, redrive } from "./acts.js";
import { ask } from "./asking.js";
import { $, cell, h, keyed, NAMELESS, pairs, part, theirs, visible } from "./elements.js";
import { trace } from "./life.js";
import { page } from "./state.js";
import { ago, count, minute, plural, when } from "./words.js";

// Says that there is nothing, and what to do; or that nobody knows yet, or not all.
function empty(id, isEmpty, unknown = null) {
  const element = $(id);
  element.whole ??= element.textContent;
  element.hidden = !isEmpty;
  const text = page.latest.caught_up ? unknown ?? element.whole : "Not known yet: the topics have not been read.";
  if (element.textContent !== text) element.textContent = text;
}

// The first few of a list, and a button for the rest.
const unfolded = new Set();

function fewOf(items, most, button) {
  const element = $(button);
  element.hidden = items.length <= most;
  element.textContent = unfolded.has(button) ? "Show fewer" : `Show ${items.length - most} more`;
  element.onclick = () => { unfolded.has(button) ? unfolded.delete(button) : unfolded.add(button); page.show(); };
  return unfolded.has(button) ? items : items.slice(0, most);
}

export function showGaps({ gaps, reconciliations }) {
  showReconciliations(reconciliations);
  const rows = [...gaps.open.newest.map((one) => ["open", one]), ...gaps.lost.newest.slice(0, 20).map((one) => ["lost", one])];
  const suspected = gaps.suspected.endpoints;
  empty("gaps-empty", rows.length + suspected.length === 0, gaps.suspected.known ? null : "No id is open or lost. What is in its grace time is not known: a processor does not answer.");
  $("gap-table").hidden = rows.length === 0;
  $("suspected").hidden = suspected.length === 0;
  part("suspected", suspected, () => suspected.map((one) => h("li", {}, h("span", { class: "badge open" }, "suspected"), " ", theirs(one.endpoint), ` ${plural(one.count, "id", "ids")} in the grace time, not reported yet: `, h("code", {}, theirs(`dropstream gaps --endpoint ${one.endpoint}`)))));
  const more = gaps.open.runs + gaps.lost.runs - rows.length;
  part("gaps-sum", [gaps.open.ids, gaps.lost.ids, gaps.suspected.ids, gaps.suspected.known, more, page.latest.caught_up], () => !page.latest.caught_up ? "" : `${count(gaps.open.ids)} open, ${count(gaps.lost.ids)} lost${gaps.suspected.ids ? `, ${count(gaps.suspected.ids)} suspected` : ""}${gaps.suspected.known ? "" : ", more may be suspected"}${more > 0 ? `; ${count(more)} more runs: dropstream gaps` : ""}`);
  keyed($("gap-rows"), fewOf(rows, 9, "gaps-more"), ([state, one]) => `${state} ${one.endpoint} ${one.epoch} ${one.first} ${one.last}`, ([state, one]) => {
    const since = h("div");
    return {
      elements: [h("tr", {}, cell("State", h("span", { class: `badge ${state}` }, state)), cell("Endpoint", theirs(one.endpoint)),
        cell("Missing ids", [h("span", { class: "mono" }, theirs(one.first === one.last ? one.first : `${one.first} – ${one.last}`), one.epoch > 1 ? ` epoch ${one.epoch}` : ""),
          one.offer ? h("small", { class: "quiet" }, " fetch what its provider can still tell: ", h("code", {}, theirs(one.offer))) : null,
          one.can_fetch ? h("button", { class: "small does", type: "button", onclick: () => reconcile(one.endpoint, one.first, one.last) }, "Fetch …", h("span", { class: "hidden" }, ` what ${visible(one.endpoint)} lost`)) : null]),
        cell("Count", count(one.count), { class: "number" }), h("td", { "data-label": "Since", class: "nowrap" }, since))],
      update() { since.replaceChildren(when(one.since, minute), ` · ${ago(one.since)}`); },
    };
  });
}

// What was fetched from a provider's API in the place of what was lost, and how far a run is.
function showReconciliations(runs) {
  $("reconciliations").hidden = runs.length === 0;
  keyed($("reconciliations"), runs, (one) => one.id, (one) => {
    const text = h("span");
    return {
      elements: [h("li", {}, text)],
      update(fresh) {
        const state = fresh.finished ? "reconciled" : `being reconciled (${fresh.step || "begins"})`;
        text.replaceChildren(theirs(fresh.endpoint), fresh.gaps ? ` ${fresh.gaps}` : "", ` ${state}: ${count(fresh.fetched)} fetched, `,
          `${count(fresh.orders)} orders and ${count(fresh.skus)} SKUs published · ${ago(fresh.at)} · `, h("code", {}, theirs(one.id)));
      },
    };
  });
}

export function showEvents({ events }) {
  empty("events-empty", events.length === 0);
  $("event-table").hidden = events.length === 0;
  keyed($("event-rows"), events, (one) => `${one.place} ${one.at} ${one.type} ${one.subject} ${one.endpoint} ${one.replay} ${one.status}`, (one) => h("tr", {},
    cell("Time", when(one.at), { class: "nowrap" }),
    cell("Event", [theirs(one.type.replace(/^dropstream\./, "")), one.replay ? h("span", { class: "badge" }, "replayed") : null, h("small", { class: "quiet" }, " ", theirs(one.endpoint))]),
    cell("Of", one.entity ? h("button", { class: "plain mono", type: "button", title: "Trace it", onclick: () => trace(one.entity) }, h("span", { class: "clip" }, theirs(one.subject)))
      : h("span", { class: "mono clip" }, theirs(one.subject))),
    cell("State", [theirs(one.status || "–"), one.signature === "unsigned" ? h("span", { class: "badge" }, "unsigned") : null])));
}

export function showRejections({ rejections }) {
  const { newest, selections, kept, is_full } = rejections;
  empty("rejections-empty", kept === 0);
  $("rejection-table").hidden = kept === 0;
  part("rejections-sum", [kept, is_full, newest.length], () => kept ? `the newest ${count(newest.length)} of ${is_full ? "more than " : ""}${count(kept)}` : "");
  keyed($("selections"), selections, (one) => JSON.stringify([one.endpoint, one.reason]), (one) => {
    const number = h("b");
    return {
      elements: [h("li", {}, h("span", {}, number, " ", theirs(one.reason), " · ", theirs(one.endpoint || NAMELESS)),
        h("button", { class: "small does", type: "button", onclick: () => redrive(one.endpoint, one.reason) }, "Redrive …"))],
      update(fresh) { if (number.textContent !== count(fresh.count)) number.textContent = count(fresh.count); },
    };
  });
  keyed($("rejection-rows"), fewOf(newest, 10, "rejections-more"), (one) => `${one.place} ${one.at}`, rejectionRow);
}

function rejectionRow(one) {
  const id = `more-${one.place.replace(":", "-")}`;
  const inside = h("td", { colspan: 5 });
  const more = h("tr", { class: "more", id, hidden: true }, inside);
  const button = h("button", { class: "small", type: "button", "aria-expanded": "false", "aria-controls": id, onclick: async () => {
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
    if (more.hidden || inside.loaded) return;
    inside.replaceChildren("Reading …");
    try {
      inside.replaceChildren(rejectionParts(await ask(`/api/rejections/${encodeURIComponent(one.place)}`)));
      inside.loaded = true;
    } catch (error) {
      inside.replaceChildren(h("p", { class: "error" }, theirs(error.message)));
    }
  } }, "Look", h("span", { class: "hidden" }, ` at the one at ${one.place}`));
  const row = h("tr", {}, cell("Received", when(one.at), { class: "nowrap" }), cell("Endpoint", theirs(one.endpoint || NAMELESS)),
    cell("Reason", h("span", { class: "badge rejected" }, theirs(one.reason))), cell("Detail", theirs(one.detail), { class: "quiet" }), h("td", { class: "number" }, button));
  return { elements: [row, more] };
}

function rejectionParts(found) {
  const body = found.body === "" ? h("p", { class: "hint" }, "The body is empty.")
    : h("details", {}, h("summary", {}, "Show the body, masked"), h("pre", { tabindex: 0, role: "region", "aria-label": "Masked body" }, theirs(found.body)));
  return h("div", { class: "parts" },
    h("div", {}, h("h3", {}, "Delivery"), pairs([...found.facts, ["in rejected at", found.place]]), h("h3", {}, "Body"), body),
    h("div", {}, h("h3", {}, "Headers"), found.headers.length ? pairs(found.headers) : h("p", { class: "hint" }, "It came without headers.")));
}
