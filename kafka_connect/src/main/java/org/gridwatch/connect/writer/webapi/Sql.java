package org.gridwatch.connect.writer.webapi;

import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;
import org.gridwatch.connect.writer.Partitioning;
import org.gridwatch.connect.writer.WriteException;

/** GridDB's SQL for containers; the Web API takes no parameters, so values become literals here, and only here. */
final class Sql {
    private Sql() {}

    /** Returns a name in quotes. */
    static String name(String name) {
        return '"' + plain(name).replace("\"", "\"\"") + '"';
    }

    /** Returns a text as a literal. */
    static String text(String value) {
        return "'" + plain(value).replace("'", "''") + "'";
    }

    /** Returns the value of a key's column as a literal. */
    static String literal(ColumnType type, Object value) {
        return switch (type) {
            case STRING -> text((String) value);
            case BYTE, SHORT, INTEGER, LONG -> number(((Number) value).longValue());
            case TIMESTAMP -> "TIMESTAMP('" + Times.text(type, (Instant) value) + "')";
            case TIMESTAMP_MICRO -> "TIMESTAMP_US('" + Times.text(type, (Instant) value) + "')";
            case TIMESTAMP_NANO -> "TIMESTAMP_NS('" + Times.text(type, (Instant) value) + "')";
            default -> throw WriteException.refused("A " + type.sqlName() + " is no type of a row key.", null);
        };
    }

    /** Returns a number; a negative one in parentheses, since two dashes begin a comment. */
    static String number(long value) {
        return value < 0 ? "(" + value + ")" : Long.toString(value);
    }

    /** Refuses what would arrive as another text: it might be the key of another row. */
    private static String plain(String text) {
        if (text.indexOf('\0') >= 0) {
            throw WriteException.refused("A text with a NUL character is refused by GridDB.", null);
        }
        if (Texts.isBroken(text)) {
            throw WriteException.refused("A text with half a surrogate pair is no Unicode.", null);
        }
        return text;
    }

    /** Tells whether SQL can make a container and name all of its columns' types. */
    static boolean knows(Container container) {
        return container.columns().stream().allMatch(column -> knows(column.type()));
    }

    static boolean knows(ColumnType type) {
        return !type.isArray() && type != ColumnType.GEOMETRY;
    }

    static String createTable(Container container) {
        List<String> key = container.rowKey();
        String columns = container.columns().stream()
                .map(one -> column(one, key.stream().anyMatch(one.name()::equalsIgnoreCase)))
                .collect(Collectors.joining(", "));
        StringBuilder words = new StringBuilder("CREATE TABLE ").append(name(container.name()));
        words.append(" (").append(columns);
        if (!key.isEmpty()) {
            words.append(", PRIMARY KEY (").append(names(key)).append(")");
        }
        words.append(")");
        if (container.kind() == ContainerKind.TIME_SERIES) {
            words.append(" USING TIMESERIES");
        }
        return words.append(container.partitioning() == null ? "" : partitions(container.partitioning())).toString();
    }

    private static String names(List<String> names) {
        return names.stream().map(Sql::name).collect(Collectors.joining(", "));
    }

    private static String column(Column column, boolean isKey) {
        return name(column.name()) + " " + column.type().sqlName() + (column.nullable() || isKey ? "" : " NOT NULL");
    }

    private static String partitions(Partitioning how) {
        if (how.interval() == 0) {
            return " PARTITION BY HASH (" + name(how.column()) + ") PARTITIONS " + how.hashCount();
        }
        StringBuilder words = new StringBuilder();
        if (how.expiration() > 0) {
            words.append(" WITH (expiration_type='PARTITION', expiration_time=").append(how.expiration());
            words.append(", expiration_time_unit=").append(text(how.expirationUnit())).append(")");
        }
        words.append(" PARTITION BY RANGE (").append(name(how.column())).append(") EVERY (").append(how.interval());
        words.append(how.intervalUnit().isEmpty() ? "" : ", " + unit(how.intervalUnit())).append(")");
        if (how.hashCount() > 0) {
            words.append(" SUBPARTITION BY HASH (").append(name(how.hashColumn()));
            words.append(") SUBPARTITIONS ").append(how.hashCount());
        }
        return words.toString();
    }

    /** Returns a unit of time, the one word that stands in SQL as it was given. */
    private static String unit(String unit) {
        if (!unit.matches("[A-Za-z]+")) {
            throw WriteException.fatal("'" + unit + "' is no unit of time.", null);
        }
        return unit;
    }

    static String addColumn(String container, Column added) {
        return "ALTER TABLE " + name(container) + " ADD COLUMN " + column(added, false);
    }
}
