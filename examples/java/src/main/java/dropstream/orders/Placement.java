package dropstream.orders;

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.TopicPartition;

/** Where each partition is read from when it is given to us. */
final class Placement implements ConsumerRebalanceListener {
    private final Consumer<byte[], byte[]> consumer;
    private final String gaps;
    private final Start start;
    private final Set<TopicPartition> placed = new HashSet<>();

    Placement(Consumer<byte[], byte[]> consumer, String gaps, Start start) {
        this.consumer = consumer;
        this.gaps = gaps;
        this.start = start;
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
        // What was shown is committed.
    }

    /** Gaps from the beginning, for what is missing is the sum of them; orders where --from says, but only once. */
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
        for (TopicPartition one : assigned) {
            if (one.topic().equals(gaps)) {
                consumer.seekToBeginning(List.of(one));
            } else if (start instanceof Start.Offset offset && offset.partition() != one.partition()) {
                consumer.seekToBeginning(List.of(one));
                consumer.pause(List.of(one)); // One partition was asked for.
            } else if (placed.add(one) && !(start instanceof Start.Group)) {
                place(one);
            } else if (consumer.committed(Set.of(one)).get(one) == null) {
                place(one);
            }
        }
    }

    private void place(TopicPartition one) {
        if (start instanceof Start.Time time) {
            long at = time.at().toEpochMilli();
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(one, at)).get(one);
            if (found == null) {
                consumer.seekToEnd(List.of(one));
            } else {
                consumer.seek(one, found.offset());
            }
        } else if (start instanceof Start.Offset offset) {
            consumer.seek(one, offset.offset());
        } else {
            consumer.seekToBeginning(List.of(one));
        }
    }
}
