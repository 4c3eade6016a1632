// One delivery whole: what came, what it became and why, its retries, the gap it closed; and what can be done with it.

import { confirm } from "./acts.js";
import { ask } from "./asking.js";
import { doSelected } from "./doing.js";
import { $, h, NAMELESS, pairs, theirs } from "./elements.js";
import { listenToHeader, openSession } from "./header.js";
import { page } from "./state.js";
import { plural } from "./words.js";

const place = location.pathname.split("/").pop();
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false });
const both = (moment) => {
  const at = new Date(moment);
  return h("time", { datetime: at.toISOString() }, clock.format(at), h("span", { class: "quiet" }, ` · ${at.toISOString().replace("T", " ").replace("Z", "")} UTC`));
};
const plain = (type) => type.replace(/^dropstream\./, "");
const code = (text, label) => h("pre", { tabindex: 0, role: "region", "aria-label": label }, theirs(text));

const OUTCOMES = { accepted: "well", rejected: "bad", retry: "warn", waiting: "warn", unknown: "warn" };

const TODAY = { rejected: "it would be rejected again", sequence: "the gap tracker would see its sequence id" };
const eventsToday = (one) => one.today.filter((each) => !(each.topic in TODAY));

function sentence(one) {
  const events = plural(one.events_count, "event", "events");
  if (one.outcome === "accepted" && one.rejected_at) return `It was rejected at first; ${one.replays.join(", ")} made ${events} of it.`;
  if (one.outcome === "accepted") return `It became ${events}${one.replays.length ? `, of a replay too: ${one.replays.join(", ")}` : ""}.`;
  if (one.outcome === "rejected") return `It was rejected, ${one.reason}: ${one.detail}. ${advice(one)}`;
  if (one.outcome === "retry") return "It repeats a delivery that came before, and added nothing.";
  if (one.outcome === "waiting") return "The processors have not come to it yet.";
  return one.looked_until ? "Nothing was found of it so far; the topics are not read to their ends." : "Nothing in the topics says what became of it: the processors have not come to it, or its records are deleted by age.";
}

// What a redrive would do now, so that nobody has to try.
function advice(one) {
  const events = eventsToday(one), [first] = events;
  if (!first) return "Today's configuration rejects it too, so a redrive changes nothing before the cause is mended.";
  const more = events.length > 1 ? ` and ${plural(events.length - 1, "more event", "more events")}` : "";
  return `Today's configuration takes it: a redrive makes ${plain(first.type)} ${first.subject}${more}.`;
}

function show(one) {
  document.title = `Delivery ${one.place} · dropstream console`;
  $("verdict").className = `verdict ${OUTCOMES[one.outcome]}`;
  $("verdict-title").replaceChildren(one.outcome, " · ", theirs(one.endpoint || NAMELESS), " · ", h("span", { class: "mono" }, one.place));
  $("verdict-sub").replaceChildren(theirs(sentence(one)));
  $("delivery-acts").hidden = false;
  $("redrive").disabled = one.outcome !== "rejected";
  $("redrive").classList.toggle("primary", one.outcome === "rejected" && eventsToday(one).length > 0);
  $("redrive").onclick = () => doSelected("redrive", [one], read);
  $("replay").onclick = () => doSelected("replay", [one], read);
  $("unmask").onclick = () => unmask(one);
  $("parts").hidden = false;
  $("came").replaceChildren(...came(one, one, "Masked body"));
  $("became").replaceChildren(...became(one, one.written));
}

function came(one, request, label) {
  return [h("dl", { class: "pairs" }, h("dt", {}, "received"), h("dd", {}, both(one.at)), [...one.facts, ["in raw at", `${one.topic} ${one.place}`]].map(([name, value]) => [h("dt", {}, theirs(name)), h("dd", {}, theirs(value))]).flat()),
    h("h3", {}, "Headers"), request.headers.length ? pairs(request.headers) : h("p", { class: "hint" }, "It came without headers."),
    h("h3", {}, "Body"), request.body === "" ? h("p", { class: "hint" }, "The body is empty.") : code(request.body, label)];
}

function became(one, written) {
  const parts = [];
  if (one.first) parts.push(h("p", {}, "A repeat of ", h("a", { class: "mono", href: `/deliveries/${one.first}` }, one.first), "."));
  if (one.rejected_at) parts.push(h("h3", {}, one.outcome === "rejected" ? "Rejected" : "Rejected at first"), pairs([["reason", one.reason], ["detail", one.detail], ["in rejected at", one.rejected_at]]));
  for (const event of written) parts.push(eventPart(event));
  if (one.today.length && !written.length) parts.push(h("h3", {}, "By today's configuration"), h("ul", { class: "plain-list" }, one.today.map((each) => h("li", {}, theirs(TODAY[each.topic] ?? `it would become ${plain(each.type)} ${each.subject}`)))));
  if (one.steps.length) parts.push(h("h3", {}, "Why, step by step, by today's configuration"), h("ol", { class: "steps" }, one.steps.map(([name, found, stops]) => h("li", stops ? { class: "stops" } : {}, h("b", {}, name), " ", h("span", { class: "found" }, theirs(found)), stops ? h("span", { class: "badge rejected" }, "stops here") : null))));
  if (one.claims.length && one.outcome === "rejected") parts.push(h("h3", {}, "It says that it is about"), h("p", { class: "mono" }, theirs(one.claims.join(", "))));
  if (one.retries.length) parts.push(h("h3", {}, plural(one.retries.length, "retry", "retries")), h("ul", { class: "plain-list" }, one.retries.map((each) => h("li", {}, h("a", { class: "mono", href: `/deliveries/${each.place}` }, each.place), " ", both(each.at)))));
  if (one.sequence !== null || one.gaps.length) {
    parts.push(h("h3", {}, "Sequence"), h("p", {}, one.sequence === null ? "It carries a sequence id." : `Its sequence id is ${one.sequence}.`,
      ...one.gaps.map((gap) => h("span", {}, ` It lay in the gap ${gap.first} – ${gap.last}, ${gap.state} since `, both(gap.at), "."))));
  }
  if (one.looked_until) parts.push(h("p", { class: "hint" }, "The topics were read up to ", both(one.looked_until), "; what was written later is not shown. dropstream trace reads them whole."));
  return parts.length ? parts : [h("p", { class: "hint" }, "Nothing was found.")];
}

function eventPart(event) {
  return h("details", { class: "event" }, h("summary", {}, h("b", {}, theirs(plain(event.type))), " ", h("span", { class: "mono" }, theirs(event.subject)), event.status ? [" · ", theirs(event.status)] : null,
    event.replay ? h("span", { class: "badge" }, "replayed") : null, h("small", { class: "quiet" }, " ", theirs(event.place))),
    h("p", {}, "written ", both(event.at)), pairs(event.attributes), h("h4", {}, "data"), code(event.data, `Data of ${plain(event.type)}`));
}

function unmask(one) {
  confirm({
    title: "Show personal data?", label: "Show it",
    body: [h("p", {}, "The request and its events are shown as they are, names and addresses included. That you looked is put on record in topic acts.")],
    go: async () => {
      const found = await ask(`/api/deliveries/${place}/unmask`, {});
      $("came").replaceChildren(...came(one, found, "Body"));
      $("became").replaceChildren(...became(one, found.written));
      $("unmask").hidden = true;
      $("copies").hidden = false;
      for (const button of document.querySelectorAll("[data-copy]")) button.onclick = () => copy(button, found[button.dataset.copy]);
    },
  });
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    $("copied").textContent = `Copied: ${button.textContent.toLowerCase()}.`;
  } catch {
    $("copied").textContent = "The browser does not let this page copy.";
  }
}

async function read() {
  page.now = Date.now();
  $("fault").hidden = true;
  try {
    show(await ask(`/api/deliveries/${place}`));
  } catch (error) {
    $("verdict-title").textContent = "Not shown";
    $("fault").hidden = false;
    $("fault").replaceChildren(theirs(error.message));
  }
}

async function start() {
  listenToHeader();
  try {
    if (await openSession()) await read();
  } catch {
    $("verdict-title").textContent = "The console does not answer; load the page again.";
  }
}

start();
