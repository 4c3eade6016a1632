/**
 * Reads the orders and the gaps of dropstream: prints one line per order event, and what is missing; ends with Ctrl-C.
 *
 * An example to copy from. It reads committed records only, goes on where its group stood (or where --from says), drops
 * repeats by id, says which events came late and which a replay brings again, and commits after it has acted: what it did
 * last may come once more after a crash, and is then a repeat.
 */

import { parseArgs, promisify } from "node:util";

import Kafka from "@confluentinc/kafka-javascript";

import { UnreadableError, readEvent, readGap } from "./event.js";
import { LastTimes, Missing, RecentIds } from "./memory.js";
import { Placement, parseStart } from "./placement.js";

const FETCH_TIMEOUT_MS = 500;
const RECORDS_MAX = 500;
const RUNS_SHOWN_MAX = 10;
const FIRST_ANSWER_MS = 30_000;
const { ERRORS } = Kafka.CODES;

/** What is done with each record: the part that a service replaces by its own work. */
class Orders {
  #ids = new RecentIds();
  #times = new LastTimes();
  #missing = new Missing();
  #shown = 0;
  #repeats = 0;
  #unreadable = 0;

  /** Prints the event on one line, unless it is a repeat. */
  takeOrder(record) {
    const event = this.#read(record, readEvent);
    if (event === null) {
      return;
    }
    const taken = this.#ids.take(event.id, event.replay);
    if (taken === "repeat") {
      this.#repeats += 1;
      return;
    }
    this.#shown += 1;
    const key = (record.key ?? "").toString();
    // Of a late event, keep what it tells of the past; never let it overwrite what is newer. One that a replay brings
    // again may be corrected: write it over what its id led to. Who must act only once drops that one too.
    console.log(orderLine(event, key, this.#times.isLate(key, event) ? "late" : taken));
  }

  /** Prints what the endpoint lacks now: until it comes or is fetched from the provider, orders have holes. */
  takeGap(record) {
    const gap = this.#read(record, readGap);
    if (gap === null) {
      return;
    }
    const runs = this.#missing.take(gap);
    const count = runs.reduce((sum, [first, last]) => sum + last - first + 1n, 0n);
    const shown = runs.slice(0, RUNS_SHOWN_MAX).map(([first, last]) => `${first}-${last}`);
    const named = `${gap.endpoint} ${gap.state} ${gap.first}-${gap.last}`;
    console.log(`gap ${named}, ${count} missing: ${shown.join(" ") || "none"}`);
  }

  get summary() {
    return `stopped: ${this.#shown} shown, ${this.#repeats} repeats dropped, ${this.#unreadable} passed over`;
  }

  /** What the record says, or null: what cannot be read is told, and holds nothing up that comes after it. */
  #read(record, reader) {
    try {
      return reader(record.value);
    } catch (error) {
      if (!(error instanceof UnreadableError)) {
        throw error;
      }
      this.#unreadable += 1;
      console.error(`passed over: ${record.topic} ${record.partition}:${record.offset} ${error.message}`);
      return null;
    }
  }
}

/** Time, how far to trust it, new, late or again, key, what happened, status. */
function orderLine(event, key, age) {
  const time = `${new Date(Number(event.timeUs / 1000n)).toISOString().slice(0, 19)}Z`;
  const quality = event.timequality;
  const trust = ["exact", "received"].includes(quality) ? quality : `${quality}+-1h`;
  const what = event.type.replace(/^dropstream\./, "");
  return `order ${time} ${trust} ${age} ${key} ${what} ${event.status ?? "-"}`;
}

async function run(options, start) {
  const [topic, gaps] = [`${options.prefix}orders`, `${options.prefix}gaps`];
  let stopping = false;
  let failure = null;
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => (stopping = true));
  }
  const placement = new Placement({ gaps, start, onFailure: (error) => (failure = error) });
  const consumer = new Kafka.KafkaConsumer(
    {
      "bootstrap.servers": options.kafka,
      "group.id": options.group,
      "isolation.level": "read_committed",
      "enable.auto.commit": false,
      rebalance_cb: (error, partitions) => placement.rebalance(consumer, error, partitions),
    },
    // After the loss of a leader a position can be out of range: a client that then begins anew reads all again.
    { "auto.offset.reset": "error" },
  );
  await connect(consumer, options.kafka);
  await check(consumer, options.kafka, topic, gaps, start);
  consumer.setDefaultConsumeTimeout(FETCH_TIMEOUT_MS);
  consumer.setDefaultIsTimeoutOnlyForFirstMessage(true);
  consumer.subscribe([topic, gaps]);
  const orders = new Orders();
  while (!stopping) {
    const records = await consume(consumer);
    if (failure) {
      throw failure;
    }
    for (const record of records) {
      record.topic === topic ? orders.takeOrder(record) : orders.takeGap(record);
    }
    commit(consumer, records.filter((record) => record.topic === topic));
  }
  await promisify(consumer.disconnect).call(consumer);
  console.error(orders.summary);
}

/** The first answer of the cluster is waited for. */
async function connect(consumer, kafka) {
  try {
    await promisify(consumer.connect).call(consumer, { timeout: FIRST_ANSWER_MS });
  } catch {
    throw new Error(`cannot reach Kafka at ${kafka}`);
  }
}

/** Whether there is what is to be read. */
async function check(consumer, kafka, topic, gaps, start) {
  const { topics } = await promisify(consumer.getMetadata).call(consumer, { timeout: FIRST_ANSWER_MS });
  const partitions = new Map(topics.map((one) => [one.name, one.partitions.length]));
  const missing = [topic, gaps].filter((name) => !partitions.has(name)).sort();
  if (missing.length > 0) {
    throw new Error(`${kafka} has no topic ${missing.join(" and ")}; is --prefix right?`);
  }
  if (start.partition >= partitions.get(topic)) {
    throw new Error(`${topic} has no partition ${start.partition}`);
  }
}

async function consume(consumer) {
  try {
    return await promisify(consumer.consume).call(consumer, RECORDS_MAX);
  } catch (error) {
    if (error.code === ERRORS.ERR__AUTO_OFFSET_RESET || error.code === ERRORS.ERR_OFFSET_OUT_OF_RANGE) {
      throw new Error(`there is nothing at the place to read from (${error.message}); say with --from where to go on`);
    }
    throw error;
  }
}

/** Commits behind the records; they are shown by now. */
function commit(consumer, records) {
  const done = new Map(records.map(({ topic, partition, offset }) => [partition, { topic, partition, offset: offset + 1 }]));
  if (done.size === 0) {
    return;
  }
  try {
    consumer.commitSync([...done.values()]);
  } catch (error) {
    // Another member has the partition now, and shows these again: the group has no memory of ids in common.
    console.error(`not committed: ${error.message}`);
  }
}

function readOptions() {
  try {
    const text = { type: "string" };
    const { values } = parseArgs({ options: { kafka: text, prefix: text, group: text, from: text } });
    const { kafka = process.env.KAFKA ?? "127.0.0.1:9092", prefix = "dropstream.", group = "orders-example" } = values;
    return [{ kafka, prefix, group }, parseStart(values.from)];
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

const [options, start] = readOptions();
try {
  await run(options, start);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
