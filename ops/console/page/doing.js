// Redrives and replays selected deliveries: says first what it would do, then does it and shows what came of it.

import { confirm } from "./acts.js";
import { ask } from "./asking.js";
import { h, NAMELESS, pairs } from "./elements.js";
import { count, plural } from "./words.js";

const EVERY_MS = 400;

// `rows` are the deliveries; `done` is called when something was written.
export function doSelected(act, rows, done) {
  const chosen = rows.map((one) => (act === "redrive" ? `${one.place}@${one.rejected_at}` : one.place));
  const many = plural(rows.length, "delivery", "deliveries");
  confirm({
    title: act === "redrive" ? `Redrive ${many}` : `Replay ${many} in place`, label: "Look what it would do",
    body: [h("p", {}, act === "redrive" ? "They are judged again by today's configuration. Those that are good now become events, each once."
      : "They are judged again by today's configuration. Their events are written to the live topics once more, marked as a replay, with the ids that they had at first."),
      h("p", {}, "Nothing is written yet.")],
    go: async () => confirmPlan(act, await ask("/api/acts/plan-selection", { act, deliveries: chosen.join(",") }), done),
  });
}

function confirmPlan(act, plan, done) {
  const redrive = act === "redrive";
  const rows = redrive
    ? [...plan.chosen.map(([name, why, number]) => [`${name || NAMELESS}, ${why}`, count(number)]), ["would become events", count(plan.would.became)],
      ["still rejected", count(plan.would.rejected)], ["events already", count(plan.would.retries)]]
    : plan.differences.map(([kind, number, first]) => [kind, [count(number), ...first].join(" · ")]);
  const ready = redrive ? plan.would.became > 0 : plan.count > 0;
  return {
    title: ready ? `${redrive ? "Redrive" : "Replay in place"}: ${plural(plan.count, "delivery", "deliveries")}?` : "Nothing to do", label: redrive ? "Redrive" : "Replay in place", ready,
    body: [h("p", {}, ready ? `The events are marked with ${plan.plan}. Consumers will see them.` : "None of them would become an event by today's configuration: mend its cause first, then have the console read it again (SIGHUP)."),
      redrive || rows.length ? h("h3", {}, redrive ? "What would become of them" : "Beside what is in the topics now") : null, pairs(rows)].filter(Boolean),
    go: async () => ended(await ask("/api/acts/run", { plan: plan.plan }), done),
  };
}

// Waits for the end of the act, and says how it ended.
async function ended(act, done) {
  let now = act;
  while (now.state === "running") {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    now = (await ask("/api/acts/newest")).find((one) => one.number === act.number) ?? { ...act, state: "failed", outcome: [["failed", "the console does not know of it any more"]] };
  }
  done();
  return { title: now.state === "done" ? "Done" : "It failed", label: "Close", isOver: true, body: [h("p", {}, now.title), pairs(now.outcome)], go: async () => {} };
}
