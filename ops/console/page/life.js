// One entity's life, in order, as `dropstream trace` tells it.

import { ask } from "./asking.js";
import { $, h, theirs } from "./elements.js";
import { count, plural, when } from "./words.js";

export async function trace(wanted) {
  if (!wanted) return;
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
