package dropstream.orders;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where orders are read from. */
sealed interface Start {

    /** Where the group stood; the beginning where it never was. */
    record Group() implements Start {}

    record Beginning() implements Start {}

    /** The first record of each partition that is not older. */
    record Time(Instant at) implements Start {}

    /** One partition, from an offset on; the others are not read. */
    record Offset(int partition, long offset) implements Start {}

    Pattern OFFSET = Pattern.compile("([0-9]{1,9}):([0-9]{1,18})");

    /** The place that `beginning`, a time, or PARTITION:OFFSET names; a time without a zone is this machine's. */
    static Start parse(String text) {
        if (text.equals("beginning")) {
            return new Beginning();
        }
        Matcher offset = OFFSET.matcher(text);
        if (offset.matches()) {
            return new Offset(Integer.parseInt(offset.group(1)), Long.parseLong(offset.group(2)));
        }
        try {
            return new Time(OffsetDateTime.parse(text).toInstant());
        } catch (DateTimeException withoutZone) {
            return new Time(local(text));
        }
    }

    private static Instant local(String text) {
        try {
            return LocalDateTime.parse(text).atZone(ZoneId.systemDefault()).toInstant();
        } catch (DateTimeException error) {
            throw new IllegalArgumentException("--from: '" + text
                    + "' is none of: beginning, a time such as 2026-05-21T14:00:00Z, PARTITION:OFFSET");
        }
    }
}
