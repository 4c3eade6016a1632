package dropstream.orders;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/**
 * What this example needs of an order event. Fields that it does not know are passed over, a status that it does not
 * know comes as the text that it is. What each field means stands in docs/topics.html.
 */
record Event(
        String id,
        String type,
        Instant time,
        String timeQuality,
        Optional<String> status,
        Optional<String> replay) {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String DATA = "urn:dropstream:schema:order-data:v1";

    /** Of the value of a record; a program made for version 1 must not guess what anything else means. */
    static Event read(byte[] value) throws UnreadableException {
        JsonNode event = tree(value);
        if (!"1.0".equals(text(event, "specversion")) || !DATA.equals(text(event, "dataschema"))) {
            throw new UnreadableException("is no order event of version 1, but " + text(event, "dataschema"));
        }
        return new Event(
                text(event, "id"),
                text(event, "type"),
                time(event, "time"),
                text(event, "timequality"),
                optional(event.path("data").path("status")),
                optional(event.path("replay")));
    }

    /** How far from `time` it may really have happened; empty where `time` is only when it was received. */
    Optional<Duration> uncertainty() {
        return switch (timeQuality) {
            case "exact" -> Optional.of(Duration.ZERO);
            case "ambiguous", "shifted" -> Optional.of(Duration.ofHours(1));
            default -> Optional.empty();
        };
    }

    private static Optional<String> optional(JsonNode field) {
        return field.isTextual() ? Optional.of(field.textValue()) : Optional.empty();
    }

    static JsonNode tree(byte[] value) throws UnreadableException {
        try {
            return JSON.readTree(value == null ? new byte[0] : value);
        } catch (IOException error) {
            throw new UnreadableException("is no JSON");
        }
    }

    static String text(JsonNode object, String name) throws UnreadableException {
        JsonNode field = object.path(name);
        if (!field.isTextual()) {
            throw new UnreadableException("has no text " + name);
        }
        return field.textValue();
    }

    private static Instant time(JsonNode object, String name) throws UnreadableException {
        try {
            return Instant.parse(text(object, name));
        } catch (DateTimeException error) {
            throw new UnreadableException("has no time " + name);
        }
    }
}
