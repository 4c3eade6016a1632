package dropstream.orders;

import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** What is done with each record: the part that a service replaces by its own work. */
final class Orders {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss'Z'").withZone(ZoneOffset.UTC);

    private final RecentIds ids = new RecentIds();
    private final LastTimes times = new LastTimes();
    private final Missing missing = new Missing();
    private long shown;
    private long repeats;
    private long unreadable;

    /** Prints the event on one line, unless it is a repeat. */
    void takeOrder(ConsumerRecord<byte[], byte[]> record) {
        try {
            Event event = Event.read(record.value());
            RecentIds.Taken taken = ids.take(event.id(), event.replay());
            if (taken == RecentIds.Taken.REPEAT) {
                repeats++;
                return;
            }
            shown++;
            String key = record.key() == null ? "" : new String(record.key(), StandardCharsets.UTF_8);
            // Of a late event, keep what it tells of the past; never let it overwrite what is newer. One that a replay
            // brings again may be corrected: write it over what its id led to. Who must act only once drops it too.
            String age = taken == RecentIds.Taken.AGAIN ? "again" : "new";
            System.out.println(line(event, key, times.isLate(key, event) ? "late" : age));
        } catch (UnreadableException error) {
            passOver(record, error);
        }
    }

    /** Prints what the endpoint lacks now: until it comes or is fetched from the provider, orders have holes. */
    void takeGap(ConsumerRecord<byte[], byte[]> record) {
        try {
            System.out.println(missing.take(record.value()));
        } catch (UnreadableException error) {
            passOver(record, error);
        }
    }

    String summary() {
        return "stopped: %d shown, %d repeats dropped, %d passed over".formatted(shown, repeats, unreadable);
    }

    private void passOver(ConsumerRecord<byte[], byte[]> record, UnreadableException error) {
        unreadable++;
        System.err.printf(
                "passed over: %s %d:%d %s%n", record.topic(), record.partition(), record.offset(), error.getMessage());
    }

    /** Time, how far to trust it, new, late or again, key, what happened, status. */
    private static String line(Event event, String key, String age) {
        String trust =
                switch (event.timeQuality()) {
                    case "exact", "received" -> event.timeQuality();
                    default -> event.timeQuality() + "+-1h";
                };
        String what = event.type().replaceFirst("^dropstream\\.", "");
        return String.join(
                " ", "order", TIME.format(event.time()), trust, age, key, what, event.status().orElse("-"));
    }
}
