package org.gridwatch.connect.writer.webapi;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.WriteException;

/**
 * DELETE statements for keys, none too long.
 *
 * <p>Not the API's own call, which answers that all is well to a user who may only read, and knows no key of several
 * columns and no time finer than a millisecond.
 */
final class Deletion {
    private static final int STATEMENT_CHARACTERS = 100_000;
    private static final int KEYS = 5_000;
    private static final int COMPOSITE_KEYS = 500;

    private final Container container;
    private final List<Column> key;

    Deletion(Container container) {
        this.container = container;
        if (container.rowKey().isEmpty()) {
            throw WriteException.refused("Container '" + container.name() + "' has no row key to delete by.", null);
        }
        key = container.rowKey().stream().map(name -> container.column(name).orElseThrow()).toList();
    }

    List<String> statements(List<Object[]> keys) {
        List<String> statements = new ArrayList<>();
        int size = key.size() == 1 && !isFineTime(key.get(0)) ? KEYS : COMPOSITE_KEYS;
        int start = 0;
        while (start < keys.size()) {
            String where = condition(keys.subList(start, Math.min(start + size, keys.size())));
            if (where.length() > STATEMENT_CHARACTERS && size > 1) {
                size /= 2;
                continue;
            }
            statements.add("DELETE FROM " + Sql.name(container.name()) + " WHERE " + where);
            start += size;
        }
        return statements;
    }

    private String condition(List<Object[]> keys) {
        Column last = key.get(key.size() - 1);
        Map<List<Object>, List<Object>> tails = new LinkedHashMap<>();
        for (Object[] one : keys) {
            List<Object> head = List.of(one).subList(0, one.length - 1);
            tails.computeIfAbsent(head, any -> new ArrayList<>()).add(one[one.length - 1]);
        }
        List<String> parts = new ArrayList<>();
        tails.forEach((head, values) -> parts.add(equal(head) + in(last, values)));
        return parts.size() == 1 ? parts.get(0) : "(" + String.join(") OR (", parts) + ")";
    }

    /** Not {@code ts IN (times)}: a DELETE from a time series with a hundred of them crashes GridDB 5.9.0. */
    private static String ofTimes(Column column, List<Instant> times) {
        String name = Sql.name(column.name());
        if (isFineTime(column)) {
            return times.stream()
                    .map(one -> name + " = " + Sql.literal(column.type(), one))
                    .collect(Collectors.joining(" OR ", "(", ")"));
        }
        Instant first = times.stream().min(Comparator.naturalOrder()).orElseThrow();
        Instant last = times.stream().max(Comparator.naturalOrder()).orElseThrow();
        String numbers = times.stream().map(one -> Long.toString(one.toEpochMilli())).collect(Collectors.joining(", "));
        return name + " >= " + Sql.literal(ColumnType.TIMESTAMP, first) + " AND " + name + " <= "
                + Sql.literal(ColumnType.TIMESTAMP, last) + " AND TO_EPOCH_MS(" + name + ") IN (" + numbers + ")";
    }

    private static boolean isFineTime(Column column) {
        return column.type().isTime() && column.type() != ColumnType.TIMESTAMP;
    }

    private String equal(List<Object> head) {
        StringBuilder words = new StringBuilder();
        for (int i = 0; i < head.size(); i++) {
            words.append(Sql.name(key.get(i).name())).append(" = ");
            words.append(Sql.literal(key.get(i).type(), head.get(i))).append(" AND ");
        }
        return words.toString();
    }

    private static String in(Column column, List<Object> values) {
        List<Object> each = values.stream().distinct().toList();
        if (each.size() > 1 && column.type().isTime()) {
            return ofTimes(column, each.stream().map(one -> (Instant) one).toList());
        }
        List<String> texts = each.stream().map(one -> Sql.literal(column.type(), one)).toList();
        String name = Sql.name(column.name());
        return texts.size() == 1 ? name + " = " + texts.get(0) : name + " IN (" + String.join(", ", texts) + ")";
    }
}
