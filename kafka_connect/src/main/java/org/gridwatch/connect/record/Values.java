package org.gridwatch.connect.record;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.connect.data.Schema;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;

/** One field's value as one column takes it, or the reason why not. */
final class Values {
    private static final int SCALE_MAX = 10_000;

    private final TimeText times;
    private final CharsetEncoder utf8 = StandardCharsets.UTF_8.newEncoder();

    Values(TimeText times) {
        this.times = times;
    }

    /**
     * Returns the value as the column's {@link ColumnType#javaType()}; {@code null} for null.
     *
     * @throws BadRecordException it is null where the column wants something, of another type or out of range
     */
    Object of(Column column, Schema schema, Object value) {
        if (value == null) {
            if (column.nullable()) {
                return null;
            }
            throw new BadRecordException("'" + column.name() + "' is null");
        }
        return column.type().isArray()
                ? Arrays.of(this, column, schema, value)
                : plain(column.name(), column.type(), schema, value);
    }

    /** As {@link #of}, for one value that is not null, of a column or an array's element. */
    Object plain(String name, ColumnType type, Schema schema, Object value) {
        return switch (type) {
            case BOOL -> bool(name, value);
            case STRING -> text(name, schema, value);
            case BYTE -> (byte) whole(name, type, schema, value, Byte.MIN_VALUE, Byte.MAX_VALUE);
            case SHORT -> (short) whole(name, type, schema, value, Short.MIN_VALUE, Short.MAX_VALUE);
            case INTEGER -> (int) whole(name, type, schema, value, Integer.MIN_VALUE, Integer.MAX_VALUE);
            case LONG -> whole(name, type, schema, value, Long.MIN_VALUE, Long.MAX_VALUE);
            case FLOAT -> single(name, schema, value);
            case DOUBLE -> number(name, type, schema, value);
            case TIMESTAMP, TIMESTAMP_MICRO, TIMESTAMP_NANO -> Times.of(times, name, type, schema, value);
            case GEOMETRY -> geometry(name, value);
            case BLOB -> bytes(name, schema, value);
            default -> throw new IllegalArgumentException(type + " is an array");
        };
    }

    private static Object bool(String name, Object value) {
        if (value instanceof Boolean) {
            return value;
        }
        throw wrongType(name, ColumnType.BOOL, value);
    }

    private String text(String name, Schema schema, Object value) {
        if (value instanceof String text) {
            return encodable(name, text);
        }
        if (value instanceof BigDecimal number) {
            // 1e999999999 must not be written out.
            if (Math.abs((long) number.scale()) > SCALE_MAX) {
                throw outOfRange(name, ColumnType.STRING, number);
            }
            return number.toPlainString();
        }
        // A moment is kept in a TIMESTAMP column; a day or a time of day reads well.
        if (value instanceof java.util.Date date && !Times.isMoment(schema)) {
            return Times.text(schema, date);
        }
        throw wrongType(name, ColumnType.STRING, value);
    }

    private String encodable(String name, String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                return checkedSurrogates(name, text);
            }
        }
        return text;
    }

    private String checkedSurrogates(String name, String text) {
        try {
            utf8.reset().encode(java.nio.CharBuffer.wrap(text));
            return text;
        } catch (CharacterCodingException error) {
            throw new BadRecordException("'" + name + "' holds half of a surrogate pair, which is no text");
        }
    }

    private static long whole(String name, ColumnType type, Schema schema, Object value, long least, long most) {
        long number;
        if (value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte) {
            number = ((Number) value).longValue();
        } else if (value instanceof Double || value instanceof Float) {
            number = fromFloat(name, type, ((Number) value).doubleValue(), value);
        } else if (value instanceof BigInteger big) {
            number = fromDecimal(name, type, new BigDecimal(big), value);
        } else if (value instanceof BigDecimal decimal) {
            number = fromDecimal(name, type, decimal, value);
        } else if (value instanceof java.util.Date date) {
            number = Times.number(schema, date);
        } else {
            throw wrongType(name, type, value);
        }
        if (number < least || number > most) {
            throw outOfRange(name, type, value);
        }
        return number;
    }

    private static long fromFloat(String name, ColumnType type, double number, Object value) {
        if (Double.isNaN(number) || Double.isInfinite(number)) {
            throw notFinite(name, type, value);
        }
        if (number != Math.rint(number)) {
            throw wrongType(name, type, value);
        }
        return fromDecimal(name, type, new BigDecimal(number), value);
    }

    private static long fromDecimal(String name, ColumnType type, BigDecimal decimal, Object value) {
        // Before anything else, so that 1e999999999 is not written out.
        if (decimal.signum() != 0 && (long) decimal.precision() - decimal.scale() > 19) {
            throw outOfRange(name, type, value);
        }
        try {
            return decimal.longValueExact();
        } catch (ArithmeticException error) {
            boolean fraction = decimal.stripTrailingZeros().scale() > 0;
            throw fraction ? wrongType(name, type, value) : outOfRange(name, type, value);
        }
    }

    private static double number(String name, ColumnType type, Schema schema, Object value) {
        double number;
        if (value instanceof Double || value instanceof Float || value instanceof Long || value instanceof Integer
                || value instanceof Short || value instanceof Byte || value instanceof BigInteger
                || value instanceof BigDecimal) {
            number = ((Number) value).doubleValue();
        } else if (value instanceof java.util.Date date) {
            number = Times.number(schema, date);
        } else {
            throw wrongType(name, type, value);
        }
        if (Double.isNaN(number) || Double.isInfinite(number)) {
            boolean was = value instanceof Double || value instanceof Float;
            throw was ? notFinite(name, type, value) : outOfRange(name, type, value);
        }
        return number;
    }

    private static float single(String name, Schema schema, Object value) {
        if (value instanceof Float number && Float.isFinite(number)) {
            return number;
        }
        double number = number(name, ColumnType.FLOAT, schema, value);
        if (Math.abs(number) > Float.MAX_VALUE) {
            throw outOfRange(name, ColumnType.FLOAT, value);
        }
        return (float) number;
    }

    private static String geometry(String name, Object value) {
        if (value instanceof String text) {
            return text;
        }
        throw wrongType(name, ColumnType.GEOMETRY, value);
    }

    private static byte[] bytes(String name, Schema schema, Object value) {
        if (value instanceof byte[] bytes) {
            return bytes;
        }
        if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return bytes;
        }
        // JSON has no bytes: without a schema, base64 stands for them.
        if (value instanceof String text && schema == null) {
            try {
                if (text.length() % 4 == 0) {
                    return Base64.getDecoder().decode(text);
                }
            } catch (IllegalArgumentException error) {
                // Told below, with the text.
            }
            throw new BadRecordException("'" + name + "' is " + Shown.value(value) + ", not base64");
        }
        throw wrongType(name, ColumnType.BLOB, value);
    }

    static BadRecordException wrongType(String name, ColumnType type, Object value) {
        return new BadRecordException(
                "'" + name + "' is " + Shown.kind(value) + " (" + Shown.value(value) + "), not " + type.sqlName());
    }

    private static BadRecordException outOfRange(String name, ColumnType type, Object value) {
        return new BadRecordException(
                "'" + name + "' is " + Shown.value(value) + ", out of range for " + type.sqlName());
    }

    private static BadRecordException notFinite(String name, ColumnType type, Object value) {
        return new BadRecordException("'" + name + "' is " + value + ", which no " + type.sqlName() + " column takes");
    }
}
