package org.gridwatch.connect;

import java.lang.reflect.Array;

/** About how many bytes values are in a request. */
final class Sizes {
    private static final int PLAIN = 8;

    private Sizes() {}

    static long of(Object[] values) {
        long total = 0;
        for (Object value : values) {
            total += of(value);
        }
        return total;
    }

    private static long of(Object value) {
        if (value instanceof byte[] bytes) {
            return PLAIN + bytes.length;
        }
        if (value instanceof String text) {
            return PLAIN + text.length();
        }
        if (value instanceof Object[] values) {
            return PLAIN + of(values);
        }
        return value != null && value.getClass().isArray() ? PLAIN + (long) PLAIN * Array.getLength(value) : PLAIN;
    }
}
