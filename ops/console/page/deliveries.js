// The list of deliveries. The address says everything that is shown, so it can be sent, kept, and gone back to.

import { askLines } from "./asking.js";
import { doSelected } from "./doing.js";
import { $, h, keyed, NAMELESS, theirs } from "./elements.js";
import { address, asked, form, offer, showAsked, showCustom } from "./filters.js";
import { listenToHeader, openSession } from "./header.js";
import { page } from "./state.js";
import { bytes, count, plural, when } from "./words.js";

const state = { rows: new Map(), selected: new Set(), running: null, until: null };

function go() {
  const wanted = address();
  if (wanted !== location.pathname + location.search) history.pushState(null, "", wanted);
  look();
}

// Asks anew for what the address says; with `further`, for what is older than what was looked at.
async function look(further = false) {
  state.running?.abort();
  const running = (state.running = new AbortController());
  const query = asked();
  if (further) query.set("until", state.until);
  else { state.rows.clear(); state.selected.clear(); }
  state.until = null;
  page.now = Date.now();
  showAsked();
  begin();
  try {
    for await (const step of askLines(`/api/deliveries?${query}`, running.signal)) take(step);
  } catch (error) {
    if (running.signal.aborted) return;
    fault(error.message);
  }
  if (state.running === running) end();
}

function begin() {
  $("fault").hidden = $("none").hidden = $("older").hidden = true;
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
  $("found-title").textContent = "Looking …";
  $("looked").replaceChildren();
  showRows();
}

function take(step) {
  if (step.error) { fault(step.error); return; }
  if (step.row) { state.rows.set(step.row.place, step.row); showRows(); return; }
  if (step.ended) { state.until = step.ended.until; return; }
  const { done, total, back_to } = step.looked;
  $("progress").value = total ? done / total : 1;
  $("looked").replaceChildren(`${count(done)} of ${plural(total, "record", "records")} read`, ...(back_to ? [", back to ", when(back_to)] : []));
}

function fault(sentence) {
  $("fault").hidden = false;
  $("fault").replaceChildren(theirs(sentence));
}

function end() {
  const failed = !$("fault").hidden, number = state.rows.size;
  $("progress").hidden = true;
  const found = number ? plural(number, "delivery", "deliveries") : failed ? "Not found out" : "None found";
  $("found-title").textContent = state.until === null || failed ? found : `${found} so far`;
  $("older").hidden = state.until === null;
  if (state.until === null && !failed) $("looked").replaceChildren("everything that Kafka still has of this was looked at");
  else if (state.until !== null) $("looked").replaceChildren("looked back to ", when(Number(state.until)));
  $("none").hidden = number > 0 || failed;
  $("none").replaceChildren(...(state.until === null
    ? ["Nothing of this is in the topics: it never came, came to another address, or is deleted by age. ", h("a", { href: "/#gaps" }, "Gaps"), " name the sequence ids that never came. Was it refused at the door? dropstream doctor, and the ingress's log."]
    : ["Nothing yet. Older records are left to look at."]));
}

function showRows() {
  const rows = [...state.rows.values()].sort((one, other) => other.at - one.at);
  $("delivery-table").hidden = rows.length === 0;
  keyed($("delivery-rows"), rows, (one) => one.place, rowOf);
  showSelection();
}

function rowOf(one) {
  const box = h("input", { type: "checkbox", "aria-label": `Select the delivery at ${one.place}`, onchange: () => { box.checked ? state.selected.add(one.place) : state.selected.delete(one.place); showSelection(); } });
  return h("tr", {}, h("td", { class: "pick does" }, box),
    h("td", { "data-label": "Received" }, h("a", { href: `/deliveries/${one.place}` }, when(one.at))),
    h("td", { "data-label": "Outcome" }, h("span", { class: `badge ${one.outcome}` }, one.outcome), ...one.replays.slice(0, 1).map(() => h("span", { class: "badge" }, "replayed"))),
    h("td", { "data-label": "What it became" }, became(one)),
    h("td", { "data-label": "Endpoint" }, theirs(one.endpoint || NAMELESS)),
    h("td", { "data-label": "Place in raw", class: "mono" }, one.place, one.bytes === null ? "" : h("small", { class: "quiet" }, ` ${bytes(one.bytes)}`)));
}

function became(one) {
  if (one.outcome === "rejected") return h("div", {}, h("b", {}, theirs(one.reason)), " ", h("span", { class: "quiet" }, theirs(one.detail)));
  if (one.outcome === "retry") return h("div", {}, "a repeat of ", h("a", { href: `/deliveries/${one.first}`, class: "mono" }, one.first));
  if (one.outcome === "waiting") return h("div", { class: "quiet" }, "the processors have not come to it");
  if (!one.events.length) return h("div", { class: "quiet" }, "not found near its time; open it to look further");
  const first = one.events[0], more = one.events_count - 1;
  return h("div", {}, theirs(first.type.replace(/^dropstream\./, "")), " ", h("span", { class: "mono" }, theirs(first.subject)), first.status ? [" · ", h("b", {}, theirs(first.status))] : null,
    more > 0 ? h("span", { class: "quiet" }, ` and ${plural(more, "more", "more")}`) : null);
}

function showSelection() {
  const rows = [...state.selected].map((place) => state.rows.get(place)).filter(Boolean);
  const rejected = rows.filter((one) => one.rejected_at);
  $("selection").hidden = rows.length === 0;
  $("selected").textContent = `${plural(rows.length, "delivery", "deliveries")} selected${rejected.length ? `, ${count(rejected.length)} rejected` : ""}`;
  $("redrive").disabled = rejected.length === 0;
  $("redrive").onclick = () => doSelected("redrive", rejected, look);
  $("replay").onclick = () => doSelected("replay", rows, look);
}

async function start() {
  listenToHeader();
  form().addEventListener("submit", (event) => { event.preventDefault(); go(); });
  $("search").addEventListener("submit", (event) => { event.preventDefault(); go(); });
  form().elements.span.addEventListener("change", showCustom);
  $("clear").addEventListener("click", () => { form().reset(); $("q").value = ""; showCustom(); go(); });
  $("older").addEventListener("click", () => look(true));
  $("deselect").addEventListener("click", () => { state.selected.clear(); for (const box of document.querySelectorAll("#delivery-rows input")) box.checked = false; showSelection(); });
  addEventListener("popstate", () => look());
  try {
    if (!(await openSession())) return;
  } catch {
    fault("The console does not answer; load the page again.");
    return;
  }
  offer();
  look();
}

start();
