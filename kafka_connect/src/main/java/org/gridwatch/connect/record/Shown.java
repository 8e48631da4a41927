package org.gridwatch.connect.record;

import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Struct;

/** Values in messages: what they are, and as much of them as a person wants to see. */
final class Shown {
    private static final int LENGTH_MAX = 60;

    private Shown() {}

    /** Returns what a value is, with its article. */
    static String kind(Object value) {
        if (value == null) {
            return "null";
        }
        if (value instanceof String) {
            return "a string";
        }
        if (value instanceof Boolean) {
            return "a boolean";
        }
        if (value instanceof Number) {
            return "a number";
        }
        if (value instanceof List) {
            return "a list";
        }
        if (value instanceof Map || value instanceof Struct) {
            return "an object";
        }
        if (value instanceof byte[] || value instanceof ByteBuffer) {
            return "bytes";
        }
        return value instanceof java.util.Date ? "a time" : "a " + value.getClass().getSimpleName();
    }

    /** Returns a value as text, strings in quotes, not too long. */
    static String value(Object value) {
        if (value instanceof byte[] bytes) {
            return bytes.length + " bytes";
        }
        if (value instanceof ByteBuffer bytes) {
            return bytes.remaining() + " bytes";
        }
        if (value instanceof java.util.Date date) {
            return Instant.ofEpochMilli(date.getTime()).toString();
        }
        return value instanceof String text ? '"' + cut(text) + '"' : cut(String.valueOf(value));
    }

    static String cut(String text) {
        return text.length() <= LENGTH_MAX ? text : text.substring(0, LENGTH_MAX - 3) + "...";
    }
}
