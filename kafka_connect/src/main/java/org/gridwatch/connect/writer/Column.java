package org.gridwatch.connect.writer;

import java.util.Objects;

/**
 * One column of a container.
 *
 * @param name as GridDB keeps it; names differ in more than case
 * @param type what it holds
 * @param nullable whether a row may have nothing there; never true for a column of the row key
 */
public record Column(String name, ColumnType type, boolean nullable) {
    public Column {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(type, "type");
    }
}
