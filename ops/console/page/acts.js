// What a person can do from here. Each act says what it will do, is confirmed, and is shown until it is done.

import { ask } from "./asking.js";
import { $, h, keyed, NAMELESS, pairs, theirs, visible } from "./elements.js";
import { page } from "./state.js";
import { count, plural, when } from "./words.js";

// A dialog that says what will be done; `go` does it, and returns the next step or nothing when it is over. With
// `isOver` there is nothing to cancel any more.
export function confirm({ title, body, label, go, ready = true, isOver = false }) {
  const dialog = $("dialog"), button = $("dialog-go"), error = $("dialog-error");
  $("dialog-title").replaceChildren(title);
  $("dialog-body").replaceChildren(...body);
  button.replaceChildren(label);
  button.disabled = !ready;
  $("dialog-cancel").hidden = isOver;
  error.hidden = true;
  $("dialog-form").onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const next = await go();
      if (next) confirm(next);
      else dialog.close();
    } catch (problem) {
      error.replaceChildren(theirs(problem.message));
      error.hidden = false;
      button.disabled = false;
    }
  };
  if (!dialog.open) dialog.showModal();
}

function field(label, input) {
  return [h("label", { for: input.id }, label), input];
}

const option = (value, text, selected = false) => h("option", { value, selected }, visible(text));

export function redrive(endpoint = null, reason = null) {
  const known = page.session.endpoints.map((one) => one.name);
  const where = h("select", { id: "redrive-endpoint" }, option("", "every endpoint"), known.map((one) => option(one, one, one === endpoint)));
  const why = h("select", { id: "redrive-reason" }, option("", "every reason"), page.session.reasons.map((one) => option(one, one, one === reason)));
  confirm({
    title: "Redrive rejected deliveries", label: "Look what it would do",
    body: [h("p", {}, "They are judged again by today's configuration. Those that are good now become events, each once, however often this is done. Nothing is written yet."),
      field("Endpoint", where), field("Reason", why)].flat(),
    go: async () => confirmRedrive(await ask("/api/acts/plan-redrive", { endpoint: where.value || null, reason: why.value || null })),
  });
}

function confirmRedrive(plan) {
  const { would } = plan;
  const rows = [...plan.chosen.map(([name, why, number]) => [`${name || NAMELESS}, ${why}`, count(number)]), ["would become events", count(would.became)],
    ["still rejected", count(would.rejected)], ["events already", count(would.retries)]];
  return {
    title: would.became ? `Redrive ${plural(plan.count, "delivery", "deliveries")}?` : "Nothing to redrive", label: "Redrive", ready: would.became > 0,
    body: [h("p", {}, would.became ? `${plural(would.events, "event", "events")} will be written to the live topics, marked with ${plan.plan}. Consumers will see them.`
      : plan.count ? "None of them would become an event by today's configuration: mend its cause first, then have the console read it again (SIGHUP)." : "No rejected delivery is of this choice."), pairs(rows)],
    go: async () => { await ask("/api/acts/run", { plan: plan.plan }); $("acts").scrollIntoView({ block: "nearest" }); },
  };
}

// Asks first what would be asked for, and what the provider cannot give back.
export async function reconcile(endpoint, first, last) {
  const gap = `${first}-${last}`;
  confirm({
    title: "Fetch what was lost", label: "Look what it would do",
    body: [h("p", {}, "The provider's API is asked for what changed since the delivery before the gap. What is newer than the newest that is known becomes events, each once. Nothing is asked yet."),
      pairs([["endpoint", endpoint], ["lost ids", gap]])],
    go: async () => confirmReconcile(await ask("/api/acts/plan-reconcile", { endpoint, gap })),
  });
}

function confirmReconcile(plan) {
  return {
    title: `Ask ${visible(plan.provider)}?`, label: "Fetch",
    body: [pairs([["API", plan.host], ["lost ids", plan.gap], ...plan.gives.map((one) => ["gives", one]), ...plan.cannot_give.map((one) => ["cannot give back", one])]),
      h("p", {}, "Changes since ", when(plan.since), ". Consumers will see the events.")],
    go: async () => { await ask("/api/acts/reconcile", { endpoint: plan.endpoint, gap: plan.gap }); $("acts").scrollIntoView({ block: "nearest" }); },
  };
}

export function dryRun() {
  const local = (at) => new Date(at - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const from = h("input", { id: "dry-from", type: "datetime-local", value: local(page.now - 3600000) });
  const to = h("input", { id: "dry-to", type: "datetime-local" });
  const where = h("select", { id: "dry-endpoint" }, option("", "every endpoint"), page.session.endpoints.map((one) => option(one.name, one.name)));
  const instant = (input) => (input.value ? new Date(input.value).toISOString() : null);
  confirm({
    title: "Dry-run a replay", label: "Compare",
    body: [h("p", {}, "Deliveries of this range are judged again and compared with what is in the topics: now rejected, now accepted, changed. Nothing is written."),
      field("From (empty: the beginning)", from), field("To (empty: now)", to), field("Endpoint", where)].flat(),
    go: async () => { await ask("/api/acts/dry-run", { from: instant(from), to: instant(to), endpoint: where.value || null }); $("acts").scrollIntoView({ block: "nearest" }); },
  });
}

export function sendSample() {
  const of = (provider) => page.session.endpoints.filter((one) => one.provider === provider && one.enabled);
  const samples = page.session.samples.filter((one) => of(one.provider).length);
  const what = h("select", { id: "send-sample" }, samples.map((one) => option(one.name, `${one.contract}: ${one.name}`)));
  const where = h("select", { id: "send-endpoint" });
  const becomes = h("p", { class: "hint" });
  const choice = () => {
    const sample = samples[what.selectedIndex];
    where.replaceChildren(...(sample ? of(sample.provider).map((one) => option(one.name, one.name)) : []));
    becomes.replaceChildren(sample ? `It becomes ${sample.becomes.join(", ")}.` : "No endpoint is enabled that a sample could go to.");
  };
  what.addEventListener("change", choice);
  choice();
  confirm({
    title: "Send a sample", label: "Send", ready: samples.length > 0,
    body: [h("p", {}, "One made-up delivery, signed with the endpoint's own secret, over real HTTP. It becomes real events in the live topics: consumers will see them."),
      field("Sample", what), field("Endpoint", where), becomes].flat(),
    go: async () => {
      const act = await ask("/api/acts/send", { sample: what.value, endpoint: where.value });
      if (act.state === "failed") throw new Error(act.outcome[0][1]);
    },
  });
}

// A title with its instants in the reader's zone.
function withTimes(title) {
  return title.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, index) => (index % 2 ? when(part) : theirs(part)));
}

export function showActs({ acts }) {
  $("acts-shown-empty").hidden = acts.length > 0;
  keyed($("acts-shown"), acts, (one) => one.number, () => {
    const item = h("li");
    let told = "";
    return {
      elements: [item],
      update(act) {
        const text = JSON.stringify(act);
        if (text === told) return;
        told = text;
        item.replaceChildren(h("span", { class: `badge ${act.state}` }, act.state), h("span", { class: "title" }, withTimes(act.title)), h("span", { class: "hint by" }, when(act.at_ms), " · ", theirs(act.who)),
          h("div", { class: "outcome" }, act.state === "running" && act.total ? h("progress", { max: act.total, value: act.done, "aria-label": "Progress" }) : act.outcome.map(([name, value], index) => [index ? " · " : "", theirs(`${name}: ${value}`)]).flat()));
      },
    };
  });
}
