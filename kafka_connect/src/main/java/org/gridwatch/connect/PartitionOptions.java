package org.gridwatch.connect;

import org.gridwatch.connect.record.BadRecordException;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.Partitioning;

/** The options {@code partition.*} and {@code expiration.*} as they were given; 0 and empty stand for none. */
record PartitionOptions(
        String column,
        int interval,
        String intervalUnit,
        int hashCount,
        String hashColumn,
        int expiration,
        String expirationUnit) {
    /**
     * Returns what they mean for a container.
     *
     * @throws BadRecordException it has no such column
     */
    Partitioning of(Container container) {
        Column by = find(container, column.isEmpty() ? container.rowKey().get(0) : column);
        boolean time = by.type().isTime();
        if (expiration > 0 && !time) {
            throw new BadRecordException("container '" + container.name() + "' cannot be made: expiration.time wants a "
                    + "partition.column of times, '" + by.name() + "' is " + by.type().sqlName());
        }
        return new Partitioning(
                by.name(),
                interval,
                interval > 0 && time ? intervalUnit : "",
                hashCount,
                interval > 0 && hashCount > 0 ? find(container, hashColumn).name() : "",
                expiration,
                expiration > 0 ? expirationUnit : "");
    }

    private static Column find(Container container, String name) {
        return container.column(name).orElseThrow(() -> new BadRecordException(
                "container '" + container.name() + "' cannot be made: it has no column '" + name
                + "' to partition by"));
    }
}
