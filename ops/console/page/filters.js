// Which deliveries are shown: the address says it, and the form changes it.

import { $, h, visible } from "./elements.js";
import { page } from "./state.js";

const FIELDS = ["endpoint", "provider", "outcome", "type"];
const SPANS = () => [...form().elements.span.options].map((one) => one.value);

export const asked = () => new URLSearchParams(location.search);
export const form = () => $("filters");

function option(value, text = value) { return h("option", { value }, visible(text)); }

export function offer() {
  const endpoints = page.session.endpoints;
  form().elements.endpoint.replaceChildren(option("", "every endpoint"), ...endpoints.map((one) => option(one.name)));
  form().elements.provider.replaceChildren(option("", "every provider"), ...[...new Set(endpoints.map((one) => one.provider))].sort().map((one) => option(one)));
}

// What the address says, in the form. A value that is no option is added, so that a link never shows less than it says.
export function showAsked(names = FIELDS) {
  const query = asked(), fields = form().elements;
  for (const name of names) {
    const value = query.get(name) ?? "";
    if (fields[name].options && ![...fields[name].options].some((one) => one.value === value)) fields[name].append(option(value));
    fields[name].value = value;
  }
  const from = query.get("from") ?? "", to = query.get("to") ?? "";
  if (/^\d+[mhd]$/.test(from) && !SPANS().includes(from)) fields.span.append(option(from, `in the last ${from}`));
  const isSpan = !to && SPANS().includes(from);
  fields.span.value = isSpan ? from : "custom";
  fields.from.value = isSpan ? "" : local(from);
  fields.to.value = local(to);
  showCustom();
  if (names === FIELDS) $("q").value = query.get("q") ?? "";
}

export function showCustom() {
  for (const one of document.querySelectorAll(".custom")) one.hidden = form().elements.span.value !== "custom";
}

function local(moment) {
  const at = new Date(moment);
  return Number.isNaN(at.getTime()) ? "" : new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

// The address of what the form says; the words of the search belong to the deliveries alone.
export function address(path = "/deliveries", names = FIELDS) {
  const fields = form().elements, query = new URLSearchParams();
  const words = names === FIELDS ? $("q").value.trim() : "";
  if (words) query.set("q", words);
  for (const name of names) if (fields[name].value.trim()) query.set(name, fields[name].value.trim());
  const span = fields.span.value;
  if (span === "custom") {
    for (const name of ["from", "to"]) if (fields[name].value) query.set(name, new Date(fields[name].value).toISOString());
  } else if (span) query.set("from", span);
  return query.size ? `${path}?${query}` : path;
}
