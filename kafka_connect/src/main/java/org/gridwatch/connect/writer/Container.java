package org.gridwatch.connect.writer;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A container's schema.
 *
 * @param name as GridDB keeps it; asked for, names are equal that differ in case only
 * @param kind collection or time series
 * @param columns in their order, which is the order of a row's values
 * @param rowKey names of the key's columns, in order; they are the first columns. Empty for a collection without key
 * @param partitioning how to spread a container that is to be made; {@code null} for an ordinary one. A writer need not
 *     fill it in for containers that it looks up
 */
public record Container(
        String name, ContainerKind kind, List<Column> columns, List<String> rowKey, Partitioning partitioning) {
    public Container {
        columns = List.copyOf(columns);
        rowKey = List.copyOf(rowKey);
    }

    /** A container that is not partitioned, or of which that is not known. */
    public Container(String name, ContainerKind kind, List<Column> columns, List<String> rowKey) {
        this(name, kind, columns, rowKey, null);
    }

    /** Returns where a column stands, from 0; names are compared without regard to case. */
    public OptionalInt position(String column) {
        for (int i = 0; i < columns.size(); i++) {
            if (columns.get(i).name().equalsIgnoreCase(column)) {
                return OptionalInt.of(i);
            }
        }
        return OptionalInt.empty();
    }

    /** Returns a column by its name in any case. */
    public Optional<Column> column(String column) {
        OptionalInt at = position(column);
        return at.isPresent() ? Optional.of(columns.get(at.getAsInt())) : Optional.empty();
    }

    /** Returns where the columns of the key stand, from 0, in the key's order. */
    public int[] keyPositions() {
        return rowKey.stream().mapToInt(name -> position(name).orElseThrow()).toArray();
    }
}
