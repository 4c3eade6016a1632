package dropstream.orders;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The last 100,000 event ids (about 150 bytes each, 15 MB): drops an event that came before.
 *
 * <p>It forgets with the process. A service that must never act twice keeps the id with what the event did, in one
 * transaction of its own database.
 */
final class RecentIds {
    private static final int IDS_MAX = 100_000;

    private final Map<String, Boolean> ids = new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > IDS_MAX;
        }
    };

    /** Whether the id was not seen among the last ones; it is remembered from now on. */
    boolean isNew(String id) {
        return ids.putIfAbsent(id, Boolean.TRUE) == null;
    }
}
