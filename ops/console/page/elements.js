// Makes elements. What strangers sent is text here, never markup: `h` sets textContent and attributes only.

const SVG = "http://www.w3.org/2000/svg";
export const NAMELESS = "unknown endpoint";
export const $ = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return element;
}

export function s(tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

// A stranger's word: alone in its direction, and what cannot be seen is named.
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
export const visible = (text) => String(text).replace(UNSEEN, (one) => `⟨U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
export const theirs = (text, attributes = {}) => h("bdi", attributes, visible(text));

// Keeps one element per key, in order, so that what a person has opened or focused stays.
export function keyed(parent, items, keyOf, make) {
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
export function part(id, shown, make) {
  const element = $(id);
  const told = JSON.stringify(shown);
  if (element.told === told) return;
  element.told = told;
  element.replaceChildren(...[make(shown)].flat().filter((one) => one !== null));
}

export function cell(label, content, attributes = {}) {
  return h("td", { "data-label": label, ...attributes }, h("div", {}, content));
}

// Names and values, one pair a line.
export function pairs(rows) {
  return h("dl", { class: "pairs" }, rows.map(([name, value]) => [h("dt", {}, theirs(name)), h("dd", {}, theirs(value))]).flat());
}
