/** Where each partition is read from when its group gives it to us. */

import { promisify } from "node:util";

import Kafka from "@confluentinc/kafka-javascript";

const ANSWER_MS = 10_000;
// The places that librdkafka has names for.
const [BEGINNING, END] = [-2, -1];
const { ERRORS } = Kafka.CODES;
const PASSING = new Set([ERRORS.ERR__TIMED_OUT, ERRORS.ERR__TRANSPORT, ERRORS.ERR__WAIT_COORD]);

/**
 * The place that `beginning`, a time, or PARTITION:OFFSET names; a time without a zone is this machine's.
 * Without a text: where the group stood, or the beginning where it never was.
 */
export function parseStart(text) {
  if (text === undefined || text === "beginning") {
    return { isGiven: text !== undefined };
  }
  const place = /^(\d{1,9}):(\d{1,15})$/.exec(text);
  if (place) {
    return { isGiven: true, partition: Number(place[1]), offset: Number(place[2]) };
  }
  const timeMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(timeMs)) {
    const forms = "beginning, a time such as 2026-05-21T14:00:00Z, PARTITION:OFFSET";
    throw new RangeError(`--from: '${text}' is none of: ${forms}`);
  }
  return { isGiven: true, timeMs };
}

/** Gives each partition its place: gaps from the beginning, for what is missing is the sum of them; orders where --from
 * says, but only once. */
export class Placement {
  #given = [];
  #placed = new Set();

  constructor({ gaps, start, onFailure }) {
    this.gaps = gaps;
    this.start = start;
    this.onFailure = onFailure;
  }

  /** What librdkafka calls in a rebalance; nothing is read from a partition before it is assigned here. */
  rebalance(consumer, error, partitions) {
    if (error.code === ERRORS.ERR__ASSIGN_PARTITIONS) {
      this.#given = partitions;
      this.#assign(consumer, partitions).catch(this.onFailure);
    } else {
      this.#given = []; // What was shown is committed.
      consumer.unassign();
    }
  }

  async #assign(consumer, given) {
    const orders = given.filter((one) => one.topic !== this.gaps && this.#isWanted(one));
    const committed = await this.#answer(given, () => promisify(consumer.committed).call(consumer, orders, ANSWER_MS));
    const firsts = await this.#answer(given, () => this.#firsts(consumer, orders));
    if (given !== this.#given) {
      return; // Given anew meanwhile.
    }
    const places = orders.map((one, index) => {
      const stood = committed[index].offset;
      const isCommitted = typeof stood === "number" && stood >= 0;
      const isPlaced = this.#placed.has(one.partition);
      return { ...one, offset: isCommitted && (isPlaced || !this.start.isGiven) ? stood : firsts[index].offset };
    });
    orders.forEach((one) => this.#placed.add(one.partition));
    const gaps = given.filter((one) => one.topic === this.gaps).map((one) => ({ ...one, offset: BEGINNING }));
    consumer.assign([...gaps, ...places]);
  }

  #isWanted(one) {
    return this.start.partition === undefined || this.start.partition === one.partition;
  }

  async #firsts(consumer, orders) {
    const { timeMs, offset } = this.start;
    if (timeMs === undefined) {
      return orders.map(() => ({ offset: offset ?? BEGINNING }));
    }
    const asked = orders.map((one) => ({ ...one, offset: timeMs }));
    const found = await promisify(consumer.offsetsForTimes).call(consumer, asked, ANSWER_MS);
    return found.map((one) => ({ offset: one.offset >= 0 ? one.offset : END }));
  }

  /** The answer of the cluster; it is asked again while it has none, and these partitions are still ours. */
  async #answer(given, ask) {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (given !== this.#given || !(error.isRetriable || PASSING.has(error.code))) {
          throw error;
        }
      }
    }
  }
}
