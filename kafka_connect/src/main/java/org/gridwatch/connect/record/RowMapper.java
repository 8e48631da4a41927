package org.gridwatch.connect.record;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.connect.data.Schema;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;

/** Rows of one container from records' fields, which are matched to columns by name without regard to case. */
public final class RowMapper {
    private final Container container;
    private final Values values;
    private final boolean ignoreUnknown;
    private final Set<String> routing;
    private final KeyMapper keys;
    private final Map<String, Integer> places = new HashMap<>();

    /**
     * @param container that rows are for
     * @param times how times that come as text are written
     * @param ignoreUnknown whether fields without a column are left out rather than refused
     * @param routing fields that the container's name is made from; they need no column
     * @param keys tells what a record's key gives
     */
    public RowMapper(
            Container container, TimeText times, boolean ignoreUnknown, List<String> routing, KeyMode keys) {
        this.container = container;
        this.values = new Values(times);
        this.ignoreUnknown = ignoreUnknown;
        this.routing = routing.stream().map(name -> name.toLowerCase(Locale.ROOT)).collect(Collectors.toSet());
        this.keys = new KeyMapper(container, values, keys);
        for (int i = 0; i < container.columns().size(); i++) {
            places.put(container.columns().get(i).name().toLowerCase(Locale.ROOT), i);
        }
    }

    public Container container() {
        return container;
    }

    /** Returns the fields that the container has no column for. */
    public List<Field> unknown(Fields fields) {
        List<Field> found = new ArrayList<>();
        for (Field field : fields) {
            String name = field.name().toLowerCase(Locale.ROOT);
            if (!places.containsKey(name) && !routing.contains(name)) {
                found.add(field);
            }
        }
        return found;
    }

    /**
     * Returns a row's values in the order of the columns.
     *
     * @param keySchema of the record's key
     * @param key the record's key
     * @throws BadRecordException a field is unknown, missing or does not fit
     */
    public Object[] row(Fields fields, Schema keySchema, Object key) {
        Object[] row = new Object[container.columns().size()];
        boolean[] given = new boolean[row.length];
        for (Field field : fields) {
            place(field, row, given);
        }
        keys.complete(row, given, keySchema, key);
        for (int i = 0; i < row.length; i++) {
            Column column = container.columns().get(i);
            if (!given[i] && !column.nullable()) {
                throw new BadRecordException("'" + column.name() + "' is missing");
            }
        }
        return row;
    }

    private void place(Field field, Object[] row, boolean[] given) {
        Integer at = places.get(field.name().toLowerCase(Locale.ROOT));
        if (at == null) {
            if (ignoreUnknown || routing.contains(field.name().toLowerCase(Locale.ROOT))) {
                return;
            }
            throw new BadRecordException("unknown field '" + Shown.cut(field.name()) + "'; the container has "
                    + container.columns().stream().map(Column::name).collect(Collectors.joining(", ")));
        }
        Column column = container.columns().get(at);
        if (given[at]) {
            throw new BadRecordException("field '" + column.name() + "' comes twice, in different case");
        }
        if (keys.wantsRecordKey(at, field.value())) {
            return;
        }
        if (field.schema() != null) {
            checkDeclared(column, field);
        }
        row[at] = values.of(column, field.schema(), field.value());
        given[at] = true;
    }

    /** Refuses declared types whose values would be taken for something else, null or not. */
    private static void checkDeclared(Column column, Field field) {
        Schema.Type type = field.schema().type();
        boolean nested = type == Schema.Type.STRUCT || type == Schema.Type.MAP;
        boolean list = type == Schema.Type.ARRAY;
        if (nested || list != column.type().isArray()) {
            throw new BadRecordException(
                    "field '" + field.name() + "' is of Connect type " + type.getName() + ", column '"
                    + column.name() + "' is " + column.type().sqlName()
                    + (nested ? "; take it apart with the transformation Flatten" : ""));
        }
        boolean decimal = org.apache.kafka.connect.data.Decimal.LOGICAL_NAME.equals(field.schema().name());
        boolean time = column.type().isTime() && field.schema().name() == null
                && type != Schema.Type.INT64 && type != Schema.Type.STRING;
        boolean bytes = type == Schema.Type.BYTES && !decimal;
        if (time || bytes != (column.type() == ColumnType.BLOB) && !column.type().isArray()) {
            throw new BadRecordException("field '" + field.name() + "' is of Connect type "
                    + (field.schema().name() != null ? field.schema().name() : type.getName()) + ", column '"
                    + column.name() + "' is " + column.type().sqlName());
        }
    }

    /**
     * Returns the values of the key's columns, in the key's order.
     *
     * @throws BadRecordException there is no key, or it does not fit
     */
    public Object[] key(Schema keySchema, Object key) {
        return keys.key(keySchema, key);
    }
}
