package dropstream.orders;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Which sequence ids of each endpoint are missing, by all records of gaps from the beginning, in the order of offsets.
 * Runs are kept as runs: a hole of a million ids takes the room of one. Ids have up to 64 bits without a sign.
 */
final class Missing {
    private static final int SHOWN_MAX = 10;

    private record Run(BigInteger first, BigInteger last) {
        @Override
        public String toString() {
            return first + "-" + last;
        }
    }

    private final Map<String, List<Run>> runsOf = new HashMap<>();

    /** Takes the value of a record, and tells what it says and what is missing now. */
    String take(byte[] value) throws UnreadableException {
        JsonNode gap = Event.tree(value);
        String endpoint = Event.text(gap, "endpoint");
        String state = Event.text(gap, "state");
        Run named = new Run(id(gap, "first"), id(gap, "last"));
        if (named.first().compareTo(named.last()) > 0) {
            throw new UnreadableException("ends before it begins");
        }
        List<Run> runs = after(runsOf.getOrDefault(endpoint, List.of()), state, named);
        runsOf.put(endpoint, runs);
        BigInteger count = runs.stream()
                .map(run -> run.last().subtract(run.first()).add(BigInteger.ONE))
                .reduce(BigInteger.ZERO, BigInteger::add);
        String shown = runs.stream().limit(SHOWN_MAX).map(Run::toString).collect(Collectors.joining(" "));
        return "gap %s %s %s, %s missing: %s".formatted(endpoint, state, named, count, runs.isEmpty() ? "none" : shown);
    }

    private static List<Run> after(List<Run> runs, String state, Run named) {
        return switch (state) {
            // With two counters on one endpoint nobody can know what is missing.
            case "reset", "mixed" -> List.of();
            case "filled", "reconciled", "dismissed" -> without(runs, named);
            case "open", "lost" -> {
                List<Run> joined = without(runs, named);
                joined.add(named);
                joined.sort(Comparator.comparing(Run::first));
                yield joined;
            }
            default -> runs;
        };
    }

    private static List<Run> without(List<Run> runs, Run taken) {
        List<Run> kept = new ArrayList<>();
        for (Run run : runs) {
            if (run.first().compareTo(taken.first()) < 0) {
                kept.add(new Run(run.first(), run.last().min(taken.first().subtract(BigInteger.ONE))));
            }
            if (run.last().compareTo(taken.last()) > 0) {
                kept.add(new Run(run.first().max(taken.last().add(BigInteger.ONE)), run.last()));
            }
        }
        return kept;
    }

    private static BigInteger id(JsonNode gap, String name) throws UnreadableException {
        JsonNode field = gap.path(name);
        if (!field.isIntegralNumber()) {
            throw new UnreadableException("has no number " + name);
        }
        return field.bigIntegerValue();
    }
}
