// Beside the chart: the consumer groups, the spool, and whoever tells of them.

import { h, part, theirs } from "./elements.js";
import { page } from "./state.js";
import { STALE_MS, ago, bytes, count, plural, sinceWords, took } from "./words.js";

export function showSide({ groups, spool, sources }) {
  part("group-list", [groups, Math.floor(page.now / 5000)], () => groups.length ? groups.map((one) => {
    const stale = page.now - one.asked_at_ms > STALE_MS;
    const level = stale || one.unknown ? "bad" : one.members === 0 ? "bad" : one.waiting > 10000 || page.now - (one.oldest_ms ?? page.now) > 60000 ? "warn" : "well";
    const who = one.members === null ? "members not known" : plural(one.members, "member", "members");
    const rest = stale ? ", nothing newer is known" : one.unknown ? `, ${plural(one.unknown, "partition", "partitions")} not known` : one.oldest_ms && one.waiting ? `, oldest waits ${ago(one.oldest_ms)}` : one.waiting ? "" : ", all is processed";
    return h("li", {}, h("span", { class: `dot ${level}` }), h("span", { class: "name" }, one.name), h("span", { class: "value" }, `${count(one.waiting)} behind`),
      h("span", { class: "note" }, stale ? `${ago(one.asked_at_ms)}: ` : "", who, rest));
  }) : h("li", {}, h("span", { class: "note" }, "Kafka has told nothing of them yet; the in-memory broker never does.")));
  part("spool-facts", [spool, Math.floor(page.now / 5000)], () => spool ? h("ul", { class: "facts" }, spoolFacts(spool))
    : h("p", { class: "empty" }, "No ingress tells of a spool. Start dropstream ingest, or set console.ingest_admin."));
  part("source-list", [sources, Math.floor(page.now / 5000)], () => sources.length ? sources.map((one) => h("li", {}, h("span", { class: `dot ${one.state}` }),
    h("span", { class: "name" }, one.name), h("span", { class: "value" }, one.state === "well" ? "answers" : "away"),
    h("span", { class: "note" }, one.state === "away" ? [theirs(one.detail), ", "] : null, sinceWords(one.since_ms)))) : h("li", {}, h("span", { class: "note" }, "Asking …")));
}

function spoolFacts(spool) {
  const fact = (level, name, value, note) => h("li", {}, h("span", { class: `dot ${level}` }), h("span", { class: "name" }, name),
    h("span", { class: "value" }, value), h("span", { class: "note" }, note));
  if (!spool.bytes_max) return fact("", "switched off", "", "ingest.spool_bytes_max is 0: while Kafka is away, the answer is 503");
  const harmed = spool.refused || spool.damaged || spool.unread_files;
  const level = harmed || spool.hung || !spool.usable ? "bad" : spool.deliveries ? "warn" : "well";
  const name = spool.deliveries ? plural(spool.deliveries, "delivery waits", "deliveries wait") : "empty";
  return fact(level, name, bytes(spool.bytes_used), [spool.deliveries ? `oldest ${took(spool.oldest_seconds * 1000)}, ` : "", spool.refused ? `${spool.refused} refused by Kafka, ` : "",
    spool.damaged ? `${spool.damaged} damaged, ` : "", spool.unread_files ? `${plural(spool.unread_files, "file", "files")} unread, ` : "",
    spool.hung ? "its disk does not answer" : spool.usable ? `${bytes(spool.free_bytes)} free on its disk` : "its disk takes nothing: see ingest.spool_dir"]);
}
