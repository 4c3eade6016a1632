/** What this example needs of an order event, and of the topic gaps. Fields that it does not know are passed over. */

const ORDER_DATA = "urn:dropstream:schema:order-data:v1";
const HOUR_US = 3_600_000_000n;
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z$/;

/** A record that is not what its topic holds; the message says why, without its content. */
export class UnreadableError extends Error {}

/**
 * The event that a record's value holds; a program made for version 1 must not guess what anything else means.
 * A status that it does not know comes as the text that it is. What each field means stands in docs/topics.html.
 *
 * @param {Buffer | null} value
 */
export function readEvent(value) {
  const event = readJson(value);
  if (event.specversion !== "1.0" || event.dataschema !== ORDER_DATA) {
    throw new UnreadableError(`is no order event of version 1, but ${event.dataschema}`);
  }
  const status = event.data?.status;
  return {
    id: text(event, "id"),
    type: text(event, "type"),
    timeUs: microseconds(text(event, "time")),
    timequality: text(event, "timequality"),
    status: typeof status === "string" ? status : null,
    replay: typeof event.replay === "string" ? event.replay : null,
  };
}

/** How far from its time it may really have happened, in microseconds; null where that is only when it was received. */
export function uncertaintyUs(event) {
  switch (event.timequality) {
    case "exact":
      return 0n;
    case "ambiguous":
    case "shifted":
      return HOUR_US;
    default:
      return null;
  }
}

/**
 * The gap that a record's value holds; its ids have up to 64 bits, more than a number of JavaScript keeps.
 *
 * @param {Buffer | null} value
 */
export function readGap(value) {
  const gap = readJson(value, (json) => json.replace(/"(first|last)"\s*:\s*(\d+)/g, '"$1":"$2"'));
  const [first, last] = [id(gap, "first"), id(gap, "last")];
  if (first > last) {
    throw new UnreadableError("ends before it begins");
  }
  return { endpoint: text(gap, "endpoint"), state: text(gap, "state"), first, last };
}

function readJson(value, prepare = (json) => json) {
  let read;
  try {
    read = JSON.parse(prepare((value ?? Buffer.alloc(0)).toString("utf8")));
  } catch {
    throw new UnreadableError("is no JSON");
  }
  if (read === null || typeof read !== "object") {
    throw new UnreadableError("is no object");
  }
  return read;
}

function text(object, name) {
  if (typeof object[name] !== "string") {
    throw new UnreadableError(`has no text ${name}`);
  }
  return object[name];
}

function id(gap, name) {
  if (!/^\d+$/.test(text(gap, name))) {
    throw new UnreadableError(`has no number ${name}`);
  }
  return BigInt(gap[name]);
}

function microseconds(time) {
  const [, second, fraction = ""] = TIME.exec(time) ?? [];
  const ms = Date.parse(`${second}Z`);
  if (Number.isNaN(ms)) {
    throw new UnreadableError("has no time");
  }
  return BigInt(ms) * 1000n + BigInt(fraction.padEnd(6, "0"));
}
