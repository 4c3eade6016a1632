package dropstream.orders;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The last 100,000 event ids (about 150 bytes each, 15 MB): tells an event that came before, and one that a replay
 * brings once more.
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

    /** What an event is to its reader; `again` is one that is known, and that a replay brings for the first time. */
    enum Taken { NEW, AGAIN, REPEAT }

    /** What the event is by the last ids; they and their replays are remembered from now on. */
    Taken take(String id, Optional<String> replay) {
        boolean isNew = isNew(id);
        boolean isNewReplay = replay.isPresent() && isNew(id + " " + replay.get());
        if (isNew) {
            return Taken.NEW;
        }
        return isNewReplay ? Taken.AGAIN : Taken.REPEAT;
    }

    private boolean isNew(String id) {
        return ids.putIfAbsent(id, Boolean.TRUE) == null;
    }
}
