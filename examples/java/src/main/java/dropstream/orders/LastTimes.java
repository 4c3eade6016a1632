package dropstream.orders;

import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * When each of the last 100,000 orders was newest for certain: tells an event that came late.
 *
 * <p>Events of one order come in the order in which the provider's deliveries arrived, and a late delivery tells of the
 * past. Where either time is not known well enough to say so, the order of arrival counts.
 */
final class LastTimes {
    private static final int ORDERS_MAX = 100_000;

    private final Map<String, Instant> earliest = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Instant> eldest) {
            return size() > ORDERS_MAX;
        }
    };

    /** Whether something newer of this order was there before, for certain. */
    boolean isLate(String key, Event event) {
        Optional<Duration> uncertainty = event.uncertainty();
        if (uncertainty.isEmpty()) {
            return false;
        }
        Instant here = event.time().minus(uncertainty.get());
        Instant known = earliest.getOrDefault(key, here);
        // What was certain stays so, be the next one as uncertain as it will.
        earliest.put(key, known.isAfter(here) ? known : here);
        return event.time().plus(uncertainty.get()).isBefore(known);
    }
}
