// Who did what, the newest first. The address says everything that is shown, so it can be sent, kept, and gone back to.

import { ask } from "./asking.js";
import { $, cell, h, keyed, theirs, visible } from "./elements.js";
import { address, asked, form, showAsked, showCustom } from "./filters.js";
import { listenToHeader, openSession } from "./header.js";
import { page } from "./state.js";
import { plural, when } from "./words.js";

const FIELDS = ["who", "act", "stage", "endpoint"];
const KNOWN = { token: "own token", shared_token: "token that several share", proxy: "signed in by the proxy", no_login: "console without a login", operating_system: "command line",
  variable: "command line, DROPSTREAM_ACTOR", nobody: "wrong token" };

const state = { rows: new Map(), older: null, turn: 0 };

function go() {
  const wanted = address("/acts", FIELDS);
  if (wanted !== location.pathname + location.search) history.pushState(null, "", wanted);
  look();
}

// Asks anew for what the address says; with `further`, for what is older than what was looked at.
async function look(further = false) {
  const turn = (state.turn += 1), query = asked();
  if (further) query.set("before", state.older);
  else state.rows.clear();
  page.now = Date.now();
  showAsked(FIELDS);
  $("fault").hidden = $("none").hidden = $("older").hidden = true;
  $("found-title").textContent = "Looking …";
  try {
    const found = await ask(`/api/acts?${query}`);
    if (turn !== state.turn) return;
    offer("act", "every act", found.acts);
    offer("stage", "any", found.stages);
    for (const one of found.rows) state.rows.set(one.offset, one);
    state.older = found.older;
    show();
  } catch (error) {
    if (turn === state.turn) fault(error.message);
  }
}

function offer(name, all, words) {
  const field = form().elements[name], chosen = asked().get(name) ?? "";
  if (field.options.length <= words.length) field.replaceChildren(...["", ...words].map((one) => h("option", { value: one, selected: one === chosen }, one ? plain(one) : all)));
}

const plain = (word) => visible(word).replaceAll("_", " ");

function show() {
  const rows = [...state.rows.values()].sort((one, other) => other.offset - one.offset);
  $("act-table").hidden = rows.length === 0;
  keyed($("act-rows"), rows, (one) => one.offset, rowOf);
  $("found-title").textContent = rows.length ? `${plural(rows.length, "record", "records")}${state.older === null ? "" : " so far"}` : "None found";
  $("older").hidden = state.older === null;
  $("none").hidden = rows.length > 0;
  $("none").textContent = state.older === null ? "Nothing of this is on record." : "Nothing yet. Older records are left to look at.";
}

function rowOf(one) {
  const deliveries = (one.deliveries ?? []).slice(0, 5);
  return h("tr", {}, cell("Time", when(one.at), { class: "nowrap" }),
    cell("Who", [h("b", {}, theirs(one.who)), h("small", {}, ` ${KNOWN[one.known_by] ?? plain(one.known_by)}`)], { class: "endpoint" }),
    cell("Act", [h("span", {}, plain(one.act)), h("span", { class: `badge ${one.stage}` }, plain(one.stage))], { class: "nowrap" }),
    cell("What", [theirs(one.what), ...deliveries.map((place) => [" ", h("a", { class: "mono", href: `/deliveries/${place}` }, place)]).flat()]),
    cell("From", [theirs(one.place), one.session ? h("small", { class: "quiet" }, " ", theirs(one.session)) : null], { class: "quiet" }));
}

function fault(sentence) {
  $("act-table").hidden = true;
  $("found-title").textContent = "Not found out";
  $("fault").hidden = false;
  $("fault").replaceChildren(theirs(sentence));
}

async function start() {
  listenToHeader();
  form().addEventListener("submit", (event) => { event.preventDefault(); go(); });
  form().elements.span.addEventListener("change", showCustom);
  $("clear").addEventListener("click", () => { form().reset(); showCustom(); go(); });
  $("older").addEventListener("click", () => look(true));
  addEventListener("popstate", () => look());
  try {
    if (!(await openSession())) return;
  } catch {
    fault("The console does not answer; load the page again.");
    return;
  }
  form().elements.endpoint.replaceChildren(...["", ...page.session.endpoints.map((one) => one.name)].map((one) => h("option", { value: one }, one ? visible(one) : "every endpoint")));
  look();
}

start();
