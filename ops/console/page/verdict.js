// What needs attention, in a sentence each, and the six figures below it.

import { $, h, keyed, part, s, theirs, visible } from "./elements.js";
import { page } from "./state.js";
import { STALE_MS, ago, bytes, count, plural, sinceWords, sum, took, total } from "./words.js";

const CONCERNS_MAX = 6;

const MARKS = {
  well: "M4 12.5l5 5L20 6.5", warn: "M12 6v8M12 17.8v.2", bad: "M6.5 6.5l11 11M17.5 6.5l-11 11",
};

export function mark(level) {
  const picture = s("svg", { viewBox: "0 0 24 24" });
  const colour = `var(--${level === "well" ? "good" : level})`;
  picture.append(
    s("circle", { cx: 12, cy: 12, r: 12, fill: colour }),
    s("path", { d: MARKS[level], fill: "none", stroke: "var(--card)", "stroke-width": 2.6, "stroke-linecap": "round", "stroke-linejoin": "round", transform: "translate(4.2 4.2) scale(.65)" }),
  );
  return picture;
}

export function showVerdict(picture) {
  const { concerns, sources } = picture;
  const level = concerns.some((one) => one.level === "bad") ? "bad" : concerns.length ? "warn" : "well";
  const away = sources.filter((one) => one.state === "away").length;
  const title = !picture.caught_up && !away ? "Reading the topics …"
    : concerns.length ? `${plural(concerns.length, "thing needs", "things need")} attention` : "All is well";
  const said = [away ? `${plural(away, "source is", "sources are")} away; the rest is shown` : "Every source answers",
    !picture.caught_up ? "the topics are not read yet" : picture.delivered_at === null ? "no delivery is known" : `last delivery ${ago(picture.delivered_at)}`];
  const box = $("verdict");
  box.classList.remove("well", "warn", "bad");
  box.classList.add(level);
  part("verdict-mark", level, mark);
  part("verdict-title", title, (text) => text);
  part("verdict-sub", `${said.join(" · ")}.`, (text) => text);
  document.title = `${concerns.length ? `(${concerns.length}) ` : ""}dropstream console`;
  const rest = concerns.length - CONCERNS_MAX;
  $("concerns-rest").hidden = rest <= 0;
  $("concerns-rest").textContent = rest > 0 ? `and ${plural(rest, "more of lesser weight", "more of lesser weight")}; see below` : "";
  keyed($("concerns"), concerns.slice(0, CONCERNS_MAX), (one) => `${one.section} ${one.level} ${one.todo} ${one.since_ms} ${one.what.replace(/[\d,.]+/g, "")}`, (one) => {
    const what = h("span", { class: "what" });
    const time = h("span", { class: "when" });
    const item = h("li", { class: one.level }, what, time, h("span", { class: "todo" }, theirs(one.todo), " ", h("a", { href: `#${one.section}` }, "Show")));
    return {
      elements: [item],
      update(fresh) {
        if (what.textContent !== visible(fresh.what)) what.replaceChildren(theirs(fresh.what));
        time.replaceChildren(...(fresh.since_ms ? sinceWords(fresh.since_ms) : []));
      },
    };
  });
}

// Of the last whole minute, so that a bucket that is not over does not look like a fall.
const perMinute = (series) => sum(series.slice(-5, -1));

function spoolSays(spool) {
  if (!spool) return "no ingress tells";
  return spool.bytes_max ? `${bytes(spool.bytes_used)} · disk ${spool.hung ? "hung" : spool.usable ? "usable" : "not usable"}` : "switched off";
}

export function showTiles(picture) {
  const { latency, groups, spool, gaps } = picture;
  const deliveries = total(picture, "deliveries");
  const rejected = sum(total(picture, "rejected"));
  const waiting = sum(groups.map((one) => one.waiting));
  const oldest = Math.min(...groups.map((one) => one.oldest_ms ?? Infinity));
  const asked = groups.length ? Math.min(...groups.map((one) => one.asked_at_ms)) : null;
  const unknown = sum(groups.map((one) => one.unknown));
  const missing = gaps.open.ids;
  const tiles = [
    ["Deliveries", count(perMinute(deliveries)), "a minute", `${count(sum(deliveries))} in 30 min${spool?.deliveries ? `, ${count(spool.deliveries)} more on disk` : ""}`, ""],
    ["Rejected", count(rejected), "in 30 min", rejected ? "see the reasons below" : "nothing refused", rejected ? "warn" : ""],
    ["Latency", latency ? took(latency.median_ms) : "–", latency ? "median" : "", latency ? `p99 ${took(latency.p99_ms)} · max ${took(latency.slowest_ms)}` : "no event in 5 min", latency && latency.p99_ms > 10000 ? "warn" : ""],
    ["Lag", groups.length ? count(waiting) : "–", waiting === 1 ? "record" : "records", unknown ? `${plural(unknown, "partition", "partitions")} not known` : waiting && Number.isFinite(oldest) ? `oldest waits ${ago(oldest)}` : groups.length ? "groups keep up" : "not known", waiting > 10000 || page.now - oldest > 60000 ? "warn" : ""],
    ["Spool", spool ? count(spool.deliveries) : "–", "waiting", spoolSays(spool), spool && (spool.deliveries || spool.refused || spool.damaged || spool.unread_files || spool.hung || (spool.bytes_max && !spool.usable)) ? "warn" : ""],
    ["Missing ids", count(missing), missing === 1 ? "id open" : "ids open", `${count(gaps.lost.ids)} lost for good`, missing ? "warn" : ""],
  ];
  // Figures that nobody brings up to date say of which moment they are.
  const topics = picture.sources.find((one) => one.name === "Kafka topics");
  if (topics?.state === "away") {
    for (const index of [0, 1, 2, 5]) tiles[index] = [...tiles[index].slice(0, 3), `not known since ${ago(topics.since_ms)}`, "warn"];
  }
  if (asked !== null && picture.now - asked > STALE_MS) tiles[3] = [...tiles[3].slice(0, 3), `as it was ${ago(asked)}`, "warn"];
  if (!picture.caught_up) {
    for (const index of [0, 1, 5]) tiles[index] = [tiles[index][0], "–", "", "not known yet", ""];
  }
  part("tiles", tiles, () => tiles.map(([name, figure, unit, under, level]) => h("div", { class: `tile ${level}` },
    h("h3", {}, name), h("div", { class: "figure" }, figure, h("span", { class: "unit" }, unit)), h("div", { class: "under" }, under))));
}
