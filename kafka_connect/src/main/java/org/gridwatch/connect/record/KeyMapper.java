package org.gridwatch.connect.record;

import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;

/**
 * Row keys from records' keys: a struct or map by the columns' names, a list in their order, or the one value itself.
 *
 * <p>Text, which is what a key of most producers is, is read as the column's type: a whole number, for a time ms since
 * 1970 or else as times are written; a JSON list for a key of several columns.
 */
final class KeyMapper {
    private final Container container;
    private final Values values;
    private final KeyMode mode;
    private final int[] places;

    KeyMapper(Container container, Values values, KeyMode mode) {
        this.container = container;
        this.values = values;
        this.mode = mode;
        this.places = container.keyPositions();
    }

    /** Tells whether a column's value comes from the record's key although the record's value has such a field. */
    boolean wantsRecordKey(int column, Object value) {
        if (mode == KeyMode.VALUE || mode == KeyMode.FILL && value != null) {
            return false;
        }
        for (int place : places) {
            if (place == column) {
                return true;
            }
        }
        return false;
    }

    /** Fills in the columns of the row key that the record's value left open, if the mode is so. */
    void complete(Object[] row, boolean[] given, Schema schema, Object key) {
        if (mode == KeyMode.VALUE) {
            return;
        }
        boolean open = false;
        for (int place : places) {
            open |= !given[place];
        }
        if (!open) {
            return;
        }
        Object[] found = key(schema, key);
        for (int i = 0; i < places.length; i++) {
            if (!given[places[i]]) {
                row[places[i]] = found[i];
                given[places[i]] = true;
            }
        }
    }

    Object[] key(Schema schema, Object key) {
        if (places.length == 0) {
            throw new BadRecordException("container '" + container.name() + "' has no row key");
        }
        boolean text = container.columns().get(places[0]).type() == ColumnType.STRING && places.length == 1;
        if (key == null || key.equals("") && !text) {
            throw new BadRecordException("the record has no key, and " + names() + " would come from it");
        }
        if (key instanceof String json && !text && (places.length > 1 || KeyText.isJson(json))) {
            return several(KeyText.read(json, container.rowKey()), null);
        }
        return several(key, schema);
    }

    private Object[] several(Object key, Schema schema) {
        if (key instanceof Struct || key instanceof Map) {
            return byName(Fields.of(key, "the record's key"));
        }
        if (key instanceof List<?> list) {
            return inOrder(list, schema == null ? null : schema.valueSchema());
        }
        if (places.length > 1) {
            throw new BadRecordException("the record's key is " + Shown.kind(key) + " (" + Shown.value(key)
                    + "), but the row key is " + names());
        }
        return new Object[] {value(places[0], schema, key)};
    }

    private Object[] byName(Fields fields) {
        Object[] found = new Object[places.length];
        for (int i = 0; i < places.length; i++) {
            String name = container.columns().get(places[i]).name();
            Field field = fields.find(name).orElseThrow(
                    () -> new BadRecordException("the record's key has no field '" + name + "'"));
            found[i] = value(places[i], field.schema(), field.value());
        }
        return found;
    }

    private Object[] inOrder(List<?> list, Schema schema) {
        if (list.size() != places.length) {
            throw new BadRecordException(
                    "the record's key has " + list.size() + " values, but the row key is " + names());
        }
        Object[] found = new Object[places.length];
        for (int i = 0; i < places.length; i++) {
            found[i] = value(places[i], schema, list.get(i));
        }
        return found;
    }

    private Object value(int place, Schema schema, Object value) {
        Column column = container.columns().get(place);
        Object given = value instanceof String text ? KeyText.value(column.type(), text) : value;
        try {
            return values.of(column, given == value ? schema : null, given);
        } catch (BadRecordException error) {
            throw new BadRecordException("the record's key: " + error.getMessage());
        }
    }

    private String names() {
        return String.join(", ", container.rowKey());
    }
}
