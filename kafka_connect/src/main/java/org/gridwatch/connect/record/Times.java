package org.gridwatch.connect.record;

import java.math.BigInteger;
import java.time.Instant;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.Date;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.gridwatch.connect.writer.ColumnType;

/** Values of time columns, and Connect's logical types Date, Time and Timestamp in other columns. */
final class Times {
    /** 9999-12-31T23:59:59.999Z; GridDB takes no later and none before 1970. */
    static final long MS_MAX = 253_402_300_799_999L;

    private Times() {}

    static Instant of(TimeText times, String name, ColumnType type, Schema schema, Object value) {
        Instant time;
        if (value instanceof String text) {
            time = parse(times, name, text);
        } else if (value instanceof Date date) {
            if (is(schema, Time.LOGICAL_NAME)) {
                throw new BadRecordException("'" + name + "' is a time of day (" + text(schema, date) + "), not "
                        + type.sqlName() + "; keep it in an INTEGER, LONG or STRING column");
            }
            time = Instant.ofEpochMilli(date.getTime());
        } else {
            time = fromNumber(name, type, schema, value);
        }
        check(name, type, time);
        return time;
    }

    private static Instant parse(TimeText times, String name, String text) {
        try {
            return times.parse(text);
        } catch (BadRecordException error) {
            throw new BadRecordException("'" + name + "': " + error.getMessage());
        }
    }

    /** Whole numbers are ms since 1970; declared ones must be declared int64 and nothing else, as micros are, too. */
    private static Instant fromNumber(String name, ColumnType type, Schema schema, Object value) {
        if (schema != null && (schema.type() != Schema.Type.INT64 || schema.name() != null)) {
            throw new BadRecordException("'" + name + "' is of Connect type "
                    + (schema.name() != null ? schema.name() : schema.type().getName()) + ", the column is "
                    + type.sqlName());
        }
        if (value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte) {
            return Instant.ofEpochMilli(((Number) value).longValue());
        }
        if (value instanceof Double number && number == Math.rint(number)) {
            if (Math.abs(number) > MS_MAX) {
                throw outOfRange(name, value);
            }
            return Instant.ofEpochMilli(number.longValue());
        }
        if (value instanceof BigInteger) {
            throw outOfRange(name, value);
        }
        throw Values.wrongType(name, type, value);
    }

    private static void check(String name, ColumnType type, Instant time) {
        if (time.getEpochSecond() < 0 || time.getEpochSecond() > MS_MAX / 1000) {
            // What is beyond a long of ms is shown as it is.
            boolean far = Math.abs(time.getEpochSecond()) > Long.MAX_VALUE / 1000 - 1;
            throw outOfRange(name, far ? time : (Object) time.toEpochMilli());
        }
        int grain = type == ColumnType.TIMESTAMP ? 1_000_000 : type == ColumnType.TIMESTAMP_MICRO ? 1_000 : 1;
        if (time.getNano() % grain != 0) {
            throw new BadRecordException("'" + name + "': time '" + time + "' is finer than a "
                    + (grain == 1_000 ? "microsecond" : "millisecond"));
        }
    }

    private static BadRecordException outOfRange(String name, Object value) {
        return new BadRecordException(
                "'" + name + "' is " + Shown.value(value) + ", outside 0.." + MS_MAX + " ms (1970 to 9999)");
    }

    /** Returns a logical time as a whole number: days of a Date, ms of a Time or Timestamp. */
    static long number(Schema schema, Date date) {
        return is(schema, org.apache.kafka.connect.data.Date.LOGICAL_NAME)
                ? Math.floorDiv(date.getTime(), TimeUnit.DAYS.toMillis(1))
                : date.getTime();
    }

    /** Returns a logical time in ISO 8601. */
    static String text(Schema schema, Date date) {
        if (is(schema, org.apache.kafka.connect.data.Date.LOGICAL_NAME)) {
            return Instant.ofEpochMilli(date.getTime()).atOffset(ZoneOffset.UTC).toLocalDate().toString();
        }
        if (is(schema, Time.LOGICAL_NAME)) {
            long ofDay = Math.floorMod(date.getTime(), TimeUnit.DAYS.toMillis(1));
            return LocalTime.ofNanoOfDay(TimeUnit.MILLISECONDS.toNanos(ofDay)).toString();
        }
        return Instant.ofEpochMilli(date.getTime()).toString();
    }

    /** Tells whether a logical time is a Timestamp. */
    static boolean isMoment(Schema schema) {
        return is(schema, Timestamp.LOGICAL_NAME);
    }

    private static boolean is(Schema schema, String logical) {
        return schema != null && logical.equals(schema.name());
    }
}
