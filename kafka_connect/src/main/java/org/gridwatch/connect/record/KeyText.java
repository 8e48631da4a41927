package org.gridwatch.connect.record;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.gridwatch.connect.writer.ColumnType;

/** Records' keys that came as text. */
final class KeyText {
    private static final Pattern WHOLE = Pattern.compile("-?[0-9]{1,19}");
    private static final ObjectMapper JSON = new ObjectMapper()
            .enable(DeserializationFeature.USE_LONG_FOR_INTS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private KeyText() {}

    /** Returns a whole number where the column takes one and the text is one; the text itself otherwise. */
    static Object value(ColumnType type, String text) {
        boolean number = type == ColumnType.LONG || type == ColumnType.INTEGER || type.isTime();
        // 19 digits may be more than a LONG takes, which is told of the number then.
        if (!number || !WHOLE.matcher(text).matches()) {
            return text;
        }
        BigInteger whole = new BigInteger(text);
        return whole.bitLength() < Long.SIZE ? (Object) whole.longValue() : whole;
    }

    /** Tells whether a text is meant for JSON rather than for one value. */
    static boolean isJson(String text) {
        String begin = text.stripLeading();
        return begin.startsWith("[") || begin.startsWith("{");
    }

    /**
     * Reads a key of several columns: a JSON list of their values, or a JSON object by their names.
     *
     * @param names of the key's columns, for the message
     * @return a list or a map
     * @throws BadRecordException it is neither
     */
    static Object read(String text, List<String> names) {
        try {
            Object found = JSON.readValue(text, Object.class);
            if (found instanceof List || found instanceof Map) {
                return found;
            }
        } catch (JsonProcessingException error) {
            // Told below, with the text.
        }
        throw new BadRecordException(
                "the record's key is " + Shown.value(text) + ", not a JSON list of " + String.join(", ", names));
    }
}
