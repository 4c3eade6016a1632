// The page: takes a picture a second from /api/live and shows it. What strangers sent is text here, never markup:
// everything is made by `h`, which sets textContent and attributes only.

const SVG = "http://www.w3.org/2000/svg";
const KINDS = [["deliveries", "Deliveries"], ["events", "Events"], ["rejected", "Rejected"], ["duplicates", "Retries"]];
const CONCERNS_MAX = 6;
const NAMELESS = "unknown endpoint";
const $ = (id) => document.getElementById(id);

let session = null;
let now = Date.now();
let latest = null;
let chosen = null; // the endpoint that the chart shows; null for all
let measured = false; // whether a failure budget is known of any endpoint
let cursor = null; // the bucket under the pointer

// ---- making elements -------------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return element;
}

function s(tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

// A stranger's word: alone in its direction, and what cannot be seen is named.
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
const visible = (text) => String(text).replace(UNSEEN, (one) => `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
const theirs = (text, attributes = {}) => h("bdi", attributes, visible(text));

// Keeps one element per key, in order, so that what a person has opened or focused stays.
function keyed(parent, items, keyOf, make) {
  const known = (parent.keyed ??= new Map());
  const wanted = new Set();
  let before = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let held = known.get(key);
    if (!held) known.set(key, (held = make(item)));
    held.update?.(item);
    for (const element of held.elements ?? [held]) {
      if (element === before) before = before.nextSibling;
      else parent.insertBefore(element, before);
    }
  }
  for (const [key, held] of known) {
    if (wanted.has(key)) continue;
    for (const element of held.elements ?? [held]) element.remove();
    known.delete(key);
  }
}

// Makes a part anew only where what it shows has changed.
function part(id, shown, make) {
  const element = $(id);
  const told = JSON.stringify(shown);
  if (element.told === told) return;
  element.told = told;
  element.replaceChildren(...[make(shown)].flat().filter((one) => one !== null));
}

// Says that there is nothing, and what to do; or that nobody knows yet.
function empty(id, isEmpty) {
  const element = $(id);
  element.whole ??= element.textContent;
  element.hidden = !isEmpty;
  const text = latest.caught_up ? element.whole : "Not known yet: the topics have not been read.";
  if (element.textContent !== text) element.textContent = text;
}

// The first few of a list, and a button for the rest.
const unfolded = new Set();

function fewOf(items, most, button) {
  const element = $(button);
  element.hidden = items.length <= most;
  element.textContent = unfolded.has(button) ? "Show fewer" : `Show ${items.length - most} more`;
  element.onclick = () => { unfolded.has(button) ? unfolded.delete(button) : unfolded.add(button); show(latest); };
  return unfolded.has(button) ? items : items.slice(0, most);
}

// ---- numbers and times -----------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const count = (number) => (number >= 100000 ? short.format(number) : whole.format(number));
const plural = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;
const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

function took(ms) {
  if (ms < 1000) return `${whole.format(ms)} ms`;
  if (ms < 100000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms);
}

function bytes(number) {
  for (const [size, unit] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (number >= size) return `${(number / size).toFixed(1)} ${unit}`;
  }
  return `${whole.format(number)} B`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

function when(moment, format = clock) {
  const at = new Date(moment);
  if (Number.isNaN(at.getTime())) return theirs(moment);
  const other = at.toDateString() === new Date(now).toDateString() ? "" : `${day.format(at)}, `;
  return h("time", { datetime: at.toISOString(), title: `${at.toISOString().replace("T", " ").replace("Z", "")} UTC` }, other + format.format(at));
}

const ago = (moment) => duration(now - new Date(moment).getTime());
const sinceWords = (moment) => ["since ", when(moment, minute), ` · ${ago(moment)}`];

// ---- the verdict -----------------------------------------------------------------------------------------------

const MARKS = {
  well: "M4 12.5l5 5L20 6.5", warn: "M12 6v8M12 17.8v.2", bad: "M6.5 6.5l11 11M17.5 6.5l-11 11",
};

function mark(level) {
  const picture = s("svg", { viewBox: "0 0 24 24" });
  const colour = `var(--${level === "well" ? "good" : level})`;
  picture.append(
    s("circle", { cx: 12, cy: 12, r: 12, fill: colour }),
    s("path", { d: MARKS[level], fill: "none", stroke: "var(--card)", "stroke-width": 2.6, "stroke-linecap": "round", "stroke-linejoin": "round", transform: "translate(4.2 4.2) scale(.65)" }),
  );
  return picture;
}

function showVerdict(picture) {
  const { concerns, sources } = picture;
  const level = concerns.some((one) => one.level === "bad") ? "bad" : concerns.length ? "warn" : "well";
  const away = sources.filter((one) => one.state === "away").length;
  const title = !picture.caught_up && !away ? "Reading the topics …"
    : concerns.length ? `${plural(concerns.length, "thing needs", "things need")} attention` : "All is well";
  const last = lastDelivery(picture);
  const said = [away ? `${plural(away, "source is", "sources are")} away; the rest is shown` : "Every source answers",
    !picture.caught_up ? "the topics are not read yet" : last === null ? "no delivery in the last 30 minutes" : `last delivery ${last} ago`];
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

function lastDelivery(picture) {
  const all = total(picture, "deliveries");
  const index = all.findLastIndex((one) => one > 0);
  if (index < 0) return null;
  const after = (all.length - 1 - index) * picture.bucket_ms;
  return after === 0 ? "less than 15 s" : duration(after);
}

// ---- figures ---------------------------------------------------------------------------------------------------

function total(picture, kind, name = null) {
  const series = picture.endpoints.filter((one) => name === null || one.name === name).map((one) => one.series[kind]);
  return series.length ? series[0].map((_, index) => sum(series.map((one) => one[index]))) : Array(120).fill(0);
}

// Of the last whole minute, so that a bucket that is not over does not look like a fall.
const perMinute = (series) => sum(series.slice(-5, -1));

function showTiles(picture) {
  const { latency, groups, spool, gaps } = picture;
  const deliveries = total(picture, "deliveries");
  const rejected = sum(total(picture, "rejected"));
  const waiting = sum(groups.map((one) => one.waiting));
  const oldest = Math.min(...groups.map((one) => one.oldest_ms ?? Infinity));
  const missing = gaps.open.ids;
  const tiles = [
    ["Deliveries", count(perMinute(deliveries)), "a minute", `${count(sum(deliveries))} in 30 min`, ""],
    ["Rejected", count(rejected), "in 30 min", rejected ? "see the reasons below" : "nothing refused", rejected ? "warn" : ""],
    ["Latency", latency ? took(latency.median_ms) : "–", latency ? "median" : "", latency ? `p99 ${took(latency.p99_ms)} · max ${took(latency.slowest_ms)}` : "no event in 5 min", latency && latency.p99_ms > 10000 ? "warn" : ""],
    ["Lag", groups.length ? count(waiting) : "–", waiting === 1 ? "record" : "records", waiting && Number.isFinite(oldest) ? `oldest waits ${ago(oldest)}` : groups.length ? "groups keep up" : "not known", waiting > 10000 || now - oldest > 60000 ? "warn" : ""],
    ["Spool", spool ? count(spool.deliveries) : "–", "waiting", spool ? `${bytes(spool.bytes_used)} · disk ${spool.usable ? "usable" : "not usable"}` : "no ingress tells", spool && (spool.deliveries || spool.refused) ? "warn" : ""],
    ["Missing ids", count(missing), missing === 1 ? "id open" : "ids open", `${count(gaps.lost.ids)} lost for good`, missing ? "warn" : ""],
  ];
  if (!picture.caught_up) {
    for (const index of [0, 1, 5]) tiles[index] = [tiles[index][0], "–", "", "not known yet", ""];
  }
  part("tiles", tiles, () => tiles.map(([name, figure, unit, under, level]) => h("div", { class: `tile ${level}` },
    h("h3", {}, name), h("div", { class: "figure" }, figure, h("span", { class: "unit" }, unit)), h("div", { class: "under" }, under))));
}

// ---- the chart -------------------------------------------------------------------------------------------------

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const step = [1, 2, 4, 5, 10].find((one) => one * power * 4 >= most) * power;
  const whole_step = Math.max(1, step / (step >= 4 && step * 2 >= most ? 2 : 1));
  const steps = Math.max(2, Math.ceil(most / Math.round(whole_step)));
  return { step: Math.round(whole_step), top: Math.round(whole_step) * steps };
}

function showChart(picture) {
  const box = $("chart");
  const width = box.clientWidth, height = box.clientHeight;
  if (!width || !height) return;
  const series = Object.fromEntries(KINDS.map(([kind]) => [kind, total(picture, kind, chosen)]));
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
  part("flow-of", [chosen, width < 520], () => [chosen === null ? "all endpoints" : theirs(chosen || NAMELESS), ", last 30 minutes, per 15 s",
    chosen === null ? null : h("span", {}, " · ", h("button", { class: "plain", type: "button", onclick: () => choose(null) }, "show all"))].filter(Boolean));
}

const summary = (series) => `Last 30 minutes: ${KINDS.map(([kind, name]) => `${sum(series[kind])} ${name.toLowerCase()}`).join(", ")}`;

function choose(name) {
  chosen = chosen === name ? null : name;
  if (latest) show(latest);
}

function moveCursor(index) {
  cursor = index === null ? null : Math.max(0, Math.min(119, index));
  if (latest) showChart(latest);
}

function listenToChart() {
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
  new ResizeObserver(() => latest && showChart(latest)).observe(box);
}

// ---- groups, spool, sources ------------------------------------------------------------------------------------

function showSide({ groups, spool, sources }) {
  part("group-list", [groups, Math.floor(now / 5000)], () => groups.length ? groups.map((one) => {
    const level = one.members === 0 ? "bad" : one.waiting > 10000 || now - (one.oldest_ms ?? now) > 60000 ? "warn" : "well";
    const who = one.members === null ? "members not known" : plural(one.members, "member", "members");
    return h("li", {}, h("span", { class: `dot ${level}` }), h("span", { class: "name" }, one.name), h("span", { class: "value" }, `${count(one.waiting)} behind`),
      h("span", { class: "note" }, who, one.oldest_ms && one.waiting ? `, oldest waits ${ago(one.oldest_ms)}` : one.waiting ? "" : ", all is processed"));
  }) : h("li", {}, h("span", { class: "note" }, "Kafka has told nothing of them yet; the in-memory broker never does.")));
  part("spool-facts", [spool, Math.floor(now / 5000)], () => spool ? h("ul", { class: "facts" },
    h("li", {}, h("span", { class: `dot ${spool.refused || !spool.usable ? "bad" : spool.deliveries ? "warn" : "well"}` }),
      h("span", { class: "name" }, spool.deliveries ? `${plural(spool.deliveries, "delivery waits", "deliveries wait")}` : "empty"), h("span", { class: "value" }, bytes(spool.bytes_used)),
      h("span", { class: "note" }, spool.deliveries ? `oldest ${took(spool.oldest_seconds * 1000)}, ` : "", spool.refused ? `${spool.refused} refused by Kafka, ` : "",
        spool.usable ? `${bytes(spool.free_bytes)} free on its disk` : "its disk takes nothing: see ingest.spool_dir")))
    : h("p", { class: "empty" }, "No ingress tells of a spool. Start dropstream ingest, or set console.ingest_admin."));
  part("source-list", [sources, Math.floor(now / 5000)], () => sources.length ? sources.map((one) => h("li", {}, h("span", { class: `dot ${one.state}` }),
    h("span", { class: "name" }, one.name), h("span", { class: "value" }, one.state === "well" ? "answers" : "away"),
    h("span", { class: "note" }, one.state === "away" ? [theirs(one.detail), ", "] : null, sinceWords(one.since_ms)))) : h("li", {}, h("span", { class: "note" }, "Asking …")));
}

// ---- endpoints -------------------------------------------------------------------------------------------------

function cell(label, content, attributes = {}) {
  return h("td", { "data-label": label, ...attributes }, h("div", {}, content));
}

function spark(series) {
  const coarse = [];
  for (let index = 0; index < series.length; index += 2) coarse.push(series[index] + (series[index + 1] ?? 0));
  const most = Math.max(1, ...coarse);
  const svg = s("svg", { class: "spark", viewBox: "0 0 120 26", preserveAspectRatio: "none", "aria-hidden": "true" });
  const points = coarse.map((value, index) => `${index ? "L" : "M"}${((index * 120) / (coarse.length - 1)).toFixed(1)} ${(24 - (22 * value) / most).toFixed(1)}`).join("");
  svg.append(s("path", { class: "area", d: `${points}L120 25L0 25Z` }), s("path", { class: "line deliveries", d: points }));
  return svg;
}

function showEndpoints({ endpoints }) {
  $("endpoints-empty").hidden = endpoints.length > 0;
  measured = endpoints.some((one) => one.budget !== null);
  $("budget-head").hidden = !measured;
  keyed($("endpoint-rows"), endpoints, (one) => one.name, (one) => {
    const row = h("tr");
    let told = "";
    return {
      elements: [row],
      update(fresh) {
        row.classList.toggle("chosen", fresh.name === chosen);
        const text = JSON.stringify([fresh, chosen, measured]);
        if (text === told) return;
        told = text;
        const focused = row.contains(document.activeElement);
        const numbers = Object.fromEntries(KINDS.map(([kind]) => [kind, sum(fresh.series[kind])]));
        const name = h("button", { class: "plain", type: "button", "aria-pressed": String(fresh.name === chosen), title: "Show only this one in the chart", onclick: () => choose(fresh.name) }, theirs(fresh.name || NAMELESS));
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

// ---- gaps, events, rejections ----------------------------------------------------------------------------------

function showGaps({ gaps }) {
  const rows = [...gaps.open.newest.map((one) => ["open", one]), ...gaps.lost.newest.slice(0, 20).map((one) => ["lost", one])];
  empty("gaps-empty", rows.length === 0);
  $("gap-table").hidden = rows.length === 0;
  const more = gaps.open.runs + gaps.lost.runs - rows.length;
  part("gaps-sum", [gaps.open.ids, gaps.lost.ids, more, latest.caught_up], () => !latest.caught_up ? "" : `${count(gaps.open.ids)} open, ${count(gaps.lost.ids)} lost${more > 0 ? `; ${count(more)} more runs: dropstream gaps` : ""}`);
  keyed($("gap-rows"), fewOf(rows, 9, "gaps-more"), ([state, one]) => `${state} ${one.endpoint} ${one.epoch} ${one.first} ${one.last}`, ([state, one]) => {
    const since = h("div");
    return {
      elements: [h("tr", {}, cell("State", h("span", { class: `badge ${state}` }, state)), cell("Endpoint", theirs(one.endpoint)),
        cell("Missing ids", h("span", { class: "mono" }, theirs(one.first === one.last ? one.first : `${one.first} – ${one.last}`), one.epoch > 1 ? ` epoch ${one.epoch}` : "")),
        cell("Count", count(one.count), { class: "number" }), h("td", { "data-label": "Since", class: "nowrap" }, since))],
      update() { since.replaceChildren(when(one.since, minute), ` · ${ago(one.since)}`); },
    };
  });
}

function showEvents({ events }) {
  empty("events-empty", events.length === 0);
  $("event-table").hidden = events.length === 0;
  keyed($("event-rows"), events, (one) => `${one.place} ${one.at} ${one.type} ${one.subject} ${one.endpoint} ${one.replay} ${one.status}`, (one) => h("tr", {},
    cell("Time", when(one.at), { class: "nowrap" }),
    cell("Event", [theirs(one.type.replace(/^dropstream\./, "")), one.replay ? h("span", { class: "badge" }, "replayed") : null, h("small", { class: "quiet" }, " ", theirs(one.endpoint))]),
    cell("Of", one.entity ? h("button", { class: "plain mono", type: "button", title: "Trace it", onclick: () => trace(one.entity) }, h("span", { class: "clip" }, theirs(one.subject)))
      : h("span", { class: "mono clip" }, theirs(one.subject))),
    cell("State", [theirs(one.status || "–"), one.signature === "unsigned" ? h("span", { class: "badge" }, "unsigned") : null])));
}

function showRejections({ rejections }) {
  const { newest, selections, kept, is_full } = rejections;
  empty("rejections-empty", kept === 0);
  $("rejection-table").hidden = kept === 0;
  part("rejections-sum", [kept, is_full, newest.length], () => kept ? `the newest ${count(newest.length)} of ${is_full ? "more than " : ""}${count(kept)}` : "");
  keyed($("selections"), selections, (one) => JSON.stringify([one.endpoint, one.reason]), (one) => {
    const number = h("b");
    return {
      elements: [h("li", {}, h("span", {}, number, " ", theirs(one.reason), " · ", theirs(one.endpoint || NAMELESS)),
        h("button", { class: "small", type: "button", onclick: () => redrive(one.endpoint, one.reason) }, "Redrive …"))],
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

function pairs(rows) {
  return h("dl", { class: "pairs" }, rows.map(([name, value]) => [h("dt", {}, theirs(name)), h("dd", {}, theirs(value))]).flat());
}

function rejectionParts(found) {
  const body = found.body === "" ? h("p", { class: "hint" }, "The body is empty.")
    : h("details", {}, h("summary", {}, "Show the body, masked"), h("pre", { tabindex: 0, role: "region", "aria-label": "Masked body" }, theirs(found.body)));
  return h("div", { class: "parts" },
    h("div", {}, h("h3", {}, "Delivery"), pairs([...found.facts, ["in rejected at", found.place]]), h("h3", {}, "Body"), body),
    h("div", {}, h("h3", {}, "Headers"), found.headers.length ? pairs(found.headers) : h("p", { class: "hint" }, "It came without headers.")));
}

// ---- one entity's life -----------------------------------------------------------------------------------------

async function trace(wanted) {
  if (!wanted) return;
  $("entity").value = wanted;
  $("life").hidden = false;
  $("life-title").replaceChildren("Life of ", theirs(wanted));
  $("life-note").replaceChildren("Reading the topics …");
  $("moments").replaceChildren();
  $("life-title").focus();
  $("life").scrollIntoView({ block: "nearest" });
  try {
    const found = await ask(`/api/trace?entity=${encodeURIComponent(wanted)}`);
    $("life-note").replaceChildren(found.count ? `${plural(found.count, "moment", "moments")}, in order${found.count > found.moments.length ? `; the last ${count(found.moments.length)} are shown` : ""}.`
      : "Nothing is known of it at any endpoint. Ids are as the events say them: see Newest events for what they look like.");
    $("moments").replaceChildren(...found.moments.map((one) => h("li", {}, when(one.at), h("span", {}, h("span", { class: `badge ${one.kind}` }, one.kind)),
      h("span", { class: "what" }, theirs(one.what.replace(/^dropstream\./, "")), one.status ? [" · ", h("b", {}, theirs(one.status))] : null, one.replay ? h("div", { class: "quiet" }, theirs(one.replay)) : null),
      h("span", { class: "from" }, theirs(one.endpoint), " · ", h("span", { class: "mono", title: one.delivery }, theirs(one.raw.split("/").slice(-2).join(":")))))));
  } catch (error) {
    $("life-note").replaceChildren(h("span", { class: "error" }, theirs(error.message)));
  }
}

// ---- acts ------------------------------------------------------------------------------------------------------

async function ask(path, body = null) {
  const options = body === null ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-CSRF-Token": session.csrf } };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The console does not answer.");
  }
  const type = response.headers.get("Content-Type") ?? "";
  const answer = type.startsWith("application/json") ? await response.json() : { error: (await response.text()).trim() };
  if (!response.ok) throw new Error(answer.error || `The console answered ${response.status}.`);
  return answer;
}

// A dialog that says what will be done; `go` does it, and returns the next step or nothing when it is over.
function confirm({ title, body, label, go, ready = true }) {
  const dialog = $("dialog"), button = $("dialog-go"), error = $("dialog-error");
  $("dialog-title").replaceChildren(title);
  $("dialog-body").replaceChildren(...body);
  button.replaceChildren(label);
  button.disabled = !ready;
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

function redrive(endpoint = null, reason = null) {
  const known = session.endpoints.map((one) => one.name);
  const where = h("select", { id: "redrive-endpoint" }, option("", "every endpoint"), known.map((one) => option(one, one, one === endpoint)));
  const why = h("select", { id: "redrive-reason" }, option("", "every reason"), session.reasons.map((one) => option(one, one, one === reason)));
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
    go: async () => { await ask("/api/acts/redrive", { plan: plan.plan }); $("acts").scrollIntoView({ block: "nearest" }); },
  };
}

function dryRun() {
  const local = (at) => new Date(at - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const from = h("input", { id: "dry-from", type: "datetime-local", value: local(now - 3600000) });
  const to = h("input", { id: "dry-to", type: "datetime-local" });
  const where = h("select", { id: "dry-endpoint" }, option("", "every endpoint"), session.endpoints.map((one) => option(one.name, one.name)));
  const instant = (input) => (input.value ? new Date(input.value).toISOString() : null);
  confirm({
    title: "Dry-run a replay", label: "Compare",
    body: [h("p", {}, "Deliveries of this range are judged again and compared with what is in the topics: now rejected, now accepted, changed. Nothing is written."),
      field("From (empty: the beginning)", from), field("To (empty: now)", to), field("Endpoint", where)].flat(),
    go: async () => { await ask("/api/acts/dry-run", { from: instant(from), to: instant(to), endpoint: where.value || null }); $("acts").scrollIntoView({ block: "nearest" }); },
  });
}

function sendSample() {
  const of = (provider) => session.endpoints.filter((one) => one.provider === provider && one.enabled);
  const samples = session.samples.filter((one) => of(one.provider).length);
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
      const job = await ask("/api/acts/send", { sample: what.value, endpoint: where.value });
      if (job.state === "failed") throw new Error(job.outcome[0][1]);
    },
  });
}

function showJobs({ jobs }) {
  $("jobs-empty").hidden = jobs.length > 0;
  keyed($("jobs"), jobs, (one) => one.number, () => {
    const item = h("li");
    let told = "";
    return {
      elements: [item],
      update(job) {
        const text = JSON.stringify(job);
        if (text === told) return;
        told = text;
        item.replaceChildren(h("span", { class: `badge ${job.state}` }, job.state), h("span", { class: "title" }, theirs(job.title)), h("span", { class: "hint by" }, when(job.at_ms), " · ", theirs(job.who)),
          h("div", { class: "outcome" }, job.state === "running" && job.total ? h("progress", { max: job.total, value: job.done, "aria-label": "Progress" }) : job.outcome.map(([name, value], index) => [index ? " · " : "", theirs(`${name}: ${value}`)]).flat()));
      },
    };
  });
}

// ---- life of the page ------------------------------------------------------------------------------------------

function show(picture) {
  latest = picture;
  now = picture.now;
  $("main").classList.remove("stale");
  showVerdict(picture);
  showTiles(picture);
  showChart(picture);
  showSide(picture);
  showEndpoints(picture);
  showGaps(picture);
  showEvents(picture);
  showRejections(picture);
  showJobs(picture);
  $("clock").replaceChildren("live · ", when(picture.now));
  const pulse = $("pulse");
  pulse.className = "dot well";
}

let lost = null;

function showLost() {
  lost ??= Date.now();
  $("main").classList.add("stale");
  $("pulse").className = "dot bad";
  $("clock").replaceChildren("no answer");
  const box = $("verdict");
  box.classList.remove("well", "warn");
  box.classList.add("bad");
  part("verdict-mark", "bad", mark);
  part("verdict-title", "The console itself does not answer", (text) => text);
  part("verdict-sub", lost, () => [h("span", {}, "Since ", when(lost), latest ? ["; what is shown is of ", when(latest.now)] : "", ". Start it again: dropstream console. This page goes on by itself.")]);
}

function listen() {
  const stream = new EventSource("/api/live");
  stream.onmessage = (event) => { lost = null; show(JSON.parse(event.data)); };
  stream.onerror = () => {
    showLost();
    if (stream.readyState !== EventSource.CLOSED) return;
    stream.close();
    setTimeout(begin, 2000);
  };
}

async function begin() {
  let response;
  try {
    response = await fetch("/api/session");
  } catch {
    showLost();
    setTimeout(begin, 2000);
    return;
  }
  if (response.status === 401) { location.reload(); return; }
  session = await response.json();
  $("prefix").replaceChildren(theirs(`${session.prefix}*`));
  $("logout").hidden = !session.has_token;
  listen();
}

$("zone").textContent = ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
$("search").addEventListener("submit", (event) => { event.preventDefault(); trace($("entity").value.trim()); });
$("life-close").addEventListener("click", () => { $("life").hidden = true; $("entity").focus(); });
$("dialog-cancel").addEventListener("click", () => $("dialog").close());
$("act-send").addEventListener("click", sendSample);
$("act-dry").addEventListener("click", dryRun);
$("act-redrive").addEventListener("click", () => redrive());
$("logout").addEventListener("click", async () => { await ask("/api/logout", {}); location.assign("/login"); });
listenToChart();
begin();
