package dropstream.orders;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads the orders and the gaps of dropstream: prints one line per order event, and what is missing; ends with Ctrl-C.
 *
 * <p>An example to copy from. It reads committed records only, goes on where its group stood (or where --from says),
 * drops repeats by id, says which events came late or again, and commits after it has acted: what it did last may come
 * once more after a crash, and is then a repeat.
 */
public final class Main {
    private static final Duration POLL = Duration.ofMillis(500);
    private static final String USAGE = "usage: java -jar orders.jar [--kafka HOST:PORT] [--prefix PREFIX]"
            + " [--group GROUP] [--from beginning|TIME|P:OFFSET]";

    private static volatile boolean stopping;

    private Main() {}

    public static void main(String[] arguments) {
        System.setOut(new PrintStream(System.out, true, StandardCharsets.UTF_8));
        try {
            Map<String, String> options = options(arguments);
            Start start = options.containsKey("--from") ? Start.parse(options.get("--from")) : new Start.Group();
            run(options, start);
        } catch (IllegalArgumentException error) {
            System.err.println(error.getMessage());
            System.exit(2);
        } catch (OffsetOutOfRangeException error) {
            System.err.println("there is nothing at " + error.offsetOutOfRangePartitions()
                    + "; say with --from where to go on");
            System.exit(1);
        } catch (KafkaException | IllegalStateException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }

    private static void run(Map<String, String> options, Start start) {
        String topic = options.get("--prefix") + "orders";
        String gaps = options.get("--prefix") + "gaps";
        Orders orders = new Orders();
        CountDownLatch ended = new CountDownLatch(1);
        try (Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(options))) {
            check(consumer, options.get("--kafka"), topic, gaps, start);
            // Java ends the program when this returns: so it waits until the last batch is finished and committed.
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                stopping = true;
                try {
                    ended.await();
                } catch (InterruptedException error) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of(topic, gaps), new Placement(consumer, gaps, start));
            while (!stopping) {
                take(consumer, consumer.poll(POLL), orders, topic);
            }
            System.err.println(orders.summary());
        } finally {
            ended.countDown();
        }
    }

    private static void take(
            Consumer<byte[], byte[]> consumer, ConsumerRecords<byte[], byte[]> records, Orders orders, String topic) {
        Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> record : records) {
            if (record.topic().equals(topic)) {
                orders.takeOrder(record);
                done.put(new TopicPartition(topic, record.partition()), new OffsetAndMetadata(record.offset() + 1));
            } else {
                orders.takeGap(record);
            }
        }
        try {
            consumer.commitSync(done);
        } catch (CommitFailedException | RebalanceInProgressException error) {
            // Another member has the partition now, and shows these again: the group has no memory of ids in common.
            System.err.println("not committed: " + error.getMessage());
        }
    }

    private static void check(Consumer<byte[], byte[]> consumer, String kafka, String topic, String gaps, Start start) {
        Map<String, ? extends List<?>> known;
        try {
            known = consumer.listTopics();
        } catch (TimeoutException error) {
            throw new IllegalStateException("cannot reach Kafka at " + kafka);
        }
        Set<String> missing = new TreeSet<>(List.of(topic, gaps));
        missing.removeAll(known.keySet());
        if (!missing.isEmpty()) {
            throw new IllegalStateException(
                    kafka + " has no topic " + String.join(" and ", missing) + "; is --prefix right?");
        }
        if (start instanceof Start.Offset offset && offset.partition() >= known.get(topic).size()) {
            throw new IllegalStateException(topic + " has no partition " + offset.partition());
        }
    }

    private static Properties settings(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("--kafka"));
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, options.get("--group"));
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        // After the loss of a leader a position can be out of range: a client that then begins anew reads all again.
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
        settings.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        settings.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        return settings;
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        options.put("--kafka", System.getenv().getOrDefault("KAFKA", "127.0.0.1:9092"));
        options.put("--prefix", "dropstream.");
        options.put("--group", "orders-example");
        List<String> allowed = new ArrayList<>(options.keySet());
        allowed.add("--from");
        for (int index = 0; index < arguments.length; index += 2) {
            if (!allowed.contains(arguments[index]) || index + 1 == arguments.length) {
                throw new IllegalArgumentException(USAGE);
            }
            options.put(arguments[index], arguments[index + 1]);
        }
        return options;
    }
}
