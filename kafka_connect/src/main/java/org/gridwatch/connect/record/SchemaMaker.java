package org.gridwatch.connect.record;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;

/**
 * Containers and columns from records' schemas.
 *
 * @param kind of the containers
 * @param rowKey fields of the row key; empty to find it
 * @param timestampFields fields of text that get a TIMESTAMP column, in lower case
 * @param decimalType column of a Decimal
 * @param keyMode where the row key comes from
 */
public record SchemaMaker(
        ContainerKind kind, List<String> rowKey, Set<String> timestampFields, ColumnType decimalType, KeyMode keyMode) {
    private static final String TIME_KEY = "ts";

    /**
     * Returns the container that a record's schema makes, without partitions.
     *
     * @param name of the container
     * @param schema of the record's value, a struct
     * @param keySchema of the record's key; {@code null} without one
     * @throws BadRecordException a field's type has no column, or there is no row key
     */
    public Container container(String name, Schema schema, Schema keySchema) {
        List<Column> columns = new ArrayList<>();
        for (org.apache.kafka.connect.data.Field field : schema.fields()) {
            columns.add(column(field.name(), field.schema()));
        }
        if (keyMode != KeyMode.VALUE && keySchema != null && keySchema.type() == Schema.Type.STRUCT) {
            for (org.apache.kafka.connect.data.Field field : keySchema.fields()) {
                if (columns.stream().noneMatch(column -> column.name().equalsIgnoreCase(field.name()))) {
                    columns.add(column(field.name(), field.schema()));
                }
            }
        }
        List<Column> key = new ArrayList<>();
        for (String wanted : keyNames(name, columns, keySchema)) {
            Column found = columns.stream()
                    .filter(column -> column.name().equalsIgnoreCase(wanted))
                    .findFirst()
                    .or(() -> fromPrimitiveKey(wanted, keySchema))
                    .orElseThrow(() -> new BadRecordException("container '" + name
                            + "' cannot be made: the record has no field '" + wanted + "' for its row key"));
            columns.remove(found);
            key.add(new Column(found.name(), keyType(name, found), false));
        }
        List<String> names = key.stream().map(Column::name).toList();
        columns.addAll(0, key);
        return new Container(name, kind, columns, names);
    }

    private java.util.Optional<Column> fromPrimitiveKey(String name, Schema keySchema) {
        boolean usable = keyMode != KeyMode.VALUE && keySchema != null && keySchema.type().isPrimitive();
        return usable ? java.util.Optional.of(column(name, keySchema)) : java.util.Optional.empty();
    }

    private ColumnType keyType(String name, Column column) {
        boolean fits = switch (column.type()) {
            case TIMESTAMP -> true;
            case STRING, INTEGER, LONG -> kind == ContainerKind.COLLECTION;
            default -> false;
        };
        if (!fits) {
            throw new BadRecordException("container '" + name + "' cannot be made: its row key '" + column.name()
                    + "' would be " + column.type().sqlName() + "; " + (kind == ContainerKind.TIME_SERIES
                            ? "a time series has a TIMESTAMP (timestamp.fields makes one of text)"
                            : "it must be STRING, INTEGER, LONG or TIMESTAMP"));
        }
        return column.type();
    }

    private List<String> keyNames(String name, List<Column> columns, Schema keySchema) {
        if (!rowKey.isEmpty()) {
            if (kind == ContainerKind.TIME_SERIES && rowKey.size() > 1) {
                throw new BadRecordException(
                        "container '" + name + "' cannot be made: a time series has one key column, "
                        + "row.key.fields names " + String.join(", ", rowKey));
            }
            return rowKey;
        }
        if (kind == ContainerKind.TIME_SERIES) {
            Predicate<Column> time = column -> column.type() == ColumnType.TIMESTAMP;
            return columns.stream()
                    .filter(time.and(column -> column.name().equalsIgnoreCase(TIME_KEY)))
                    .findFirst()
                    .or(() -> columns.stream().filter(time).findFirst())
                    .map(column -> List.of(column.name()))
                    .orElseThrow(() -> new BadRecordException("container '" + name
                            + "' cannot be made: no field of the "
                            + "record's schema is a " + Timestamp.LOGICAL_NAME
                            + " for a time series' row key; make the "
                            + "container beforehand, or set timestamp.fields or container.type=COLLECTION"));
        }
        if (keySchema != null && keySchema.type() == Schema.Type.STRUCT) {
            return keySchema.fields().stream().map(org.apache.kafka.connect.data.Field::name).toList();
        }
        throw new BadRecordException("container '" + name + "' cannot be made: a collection wants a row key, so that a "
                + "record that comes twice is one row; set row.key.fields");
    }

    /**
     * Returns the column that a field gets.
     *
     * @throws BadRecordException no column can hold such a field
     */
    public Column column(String name, Schema schema) {
        return new Column(name, type(name, schema), schema.isOptional());
    }

    private ColumnType type(String name, Schema schema) {
        if (schema.name() != null) {
            switch (schema.name()) {
                case Timestamp.LOGICAL_NAME, Date.LOGICAL_NAME:
                    return ColumnType.TIMESTAMP;
                case Time.LOGICAL_NAME:
                    return ColumnType.INTEGER;
                case Decimal.LOGICAL_NAME:
                    return decimalType;
                default:
                    break;
            }
        }
        return switch (schema.type()) {
            case BOOLEAN -> ColumnType.BOOL;
            case STRING -> timestampFields.contains(name.toLowerCase(Locale.ROOT))
                    ? ColumnType.TIMESTAMP
                    : ColumnType.STRING;
            case INT8 -> ColumnType.BYTE;
            case INT16 -> ColumnType.SHORT;
            case INT32 -> ColumnType.INTEGER;
            case INT64 -> ColumnType.LONG;
            case FLOAT32 -> ColumnType.FLOAT;
            case FLOAT64 -> ColumnType.DOUBLE;
            case BYTES -> ColumnType.BLOB;
            case ARRAY -> array(name, schema.valueSchema());
            case STRUCT, MAP -> throw new BadRecordException("field '" + name + "' is of Connect type "
                    + schema.type().getName() + ", which no column can hold; take it apart with "
                    + "the transformation Flatten");
        };
    }

    private ColumnType array(String name, Schema element) {
        boolean primitive = element.type().isPrimitive() && element.type() != Schema.Type.BYTES;
        if (!primitive) {
            throw new BadRecordException("field '" + name + "' is a list of Connect type " + element.type().getName()
                    + ", which no column can hold");
        }
        return ColumnType.valueOf(type("", element) + "_ARRAY");
    }
}
