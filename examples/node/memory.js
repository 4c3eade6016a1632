/** What a consumer remembers; all of it bounded, and forgotten with the process. */

import { uncertaintyUs } from "./event.js";

const IDS_MAX = 100_000;
const ORDERS_MAX = 100_000;

/**
 * The last 100,000 event ids (about 150 bytes each, 15 MB): tells an event that came before, and one that a replay
 * brings once more.
 *
 * A service that must never act twice keeps the id with what the event did, in one transaction of its own database.
 */
export class RecentIds {
  #ids = new Set();

  /**
   * "new" where the id was not seen among the last ones, "again" where this replay brings it for the first time. Both
   * are remembered from now on; anything else is a "repeat".
   */
  take(id, replay) {
    const isNew = this.#isNew(id);
    const isNewReplay = replay !== null && this.#isNew(`${id} ${replay}`);
    if (isNew) {
      return "new";
    }
    return isNewReplay ? "again" : "repeat";
  }

  #isNew(id) {
    if (this.#ids.has(id)) {
      return false;
    }
    this.#ids.add(id);
    if (this.#ids.size > IDS_MAX) {
      this.#ids.delete(this.#ids.values().next().value); // A Set keeps the order in which it was filled.
    }
    return true;
  }
}

/**
 * When each of the last 100,000 orders was newest for certain: tells an event that came late.
 *
 * Events of one order come in the order in which the provider's deliveries arrived, and a late delivery tells of the
 * past. Where either time is not known well enough to say so, the order of arrival counts.
 */
export class LastTimes {
  #earliest = new Map();

  /** Whether something newer of this order was there before, for certain. */
  isLate(key, event) {
    const uncertainty = uncertaintyUs(event);
    if (uncertainty === null) {
      return false;
    }
    const here = event.timeUs - uncertainty;
    const known = this.#earliest.get(key) ?? here;
    this.#earliest.delete(key); // So that it becomes the youngest.
    // What was certain stays so, be the next one as uncertain as it will.
    this.#earliest.set(key, known > here ? known : here);
    if (this.#earliest.size > ORDERS_MAX) {
      this.#earliest.delete(this.#earliest.keys().next().value);
    }
    return event.timeUs + uncertainty < known;
  }
}

/**
 * Which sequence ids of each endpoint are missing, by all records of gaps from the beginning, in the order of offsets.
 * Runs are kept as runs: a hole of a million ids takes the room of one.
 */
export class Missing {
  #runsOf = new Map();

  /** Takes a gap; gives what is missing of its endpoint now, as runs [first, last], in order. */
  take(gap) {
    const runs = after(this.#runsOf.get(gap.endpoint) ?? [], gap);
    this.#runsOf.set(gap.endpoint, runs);
    return runs;
  }
}

function after(runs, gap) {
  switch (gap.state) {
    case "reset":
    case "mixed": // Two counters share the endpoint, and what is missing cannot be known.
      return [];
    case "filled":
    case "reconciled":
    case "dismissed":
      return without(runs, gap);
    case "open":
    case "lost":
      return [...without(runs, gap), [gap.first, gap.last]].sort(([a], [b]) => (a < b ? -1 : 1));
    default: // A word of tomorrow changes nothing that is known today.
      return runs;
  }
}

function without(runs, { first, last }) {
  return runs.flatMap(([low, high]) => [
    ...(low < first ? [[low, high < first ? high : first - 1n]] : []),
    ...(high > last ? [[low > last ? low : last + 1n, high]] : []),
  ]);
}
