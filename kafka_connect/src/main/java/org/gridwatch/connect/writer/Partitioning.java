package org.gridwatch.connect.writer;

/**
 * How a new container is spread over the cluster, and for how long its rows are kept.
 *
 * @param column that rows are spread by
 * @param interval width of one partition, 0 when they are spread by hash
 * @param intervalUnit unit of the width of a time column, such as {@code DAY}; empty for a column of numbers
 * @param hashCount number of partitions by hash (0: none); with an interval, each partition is spread once more
 * @param hashColumn that partitions by hash below an interval go by; empty otherwise
 * @param expiration how long a partition is kept after its end, 0 for ever; only with an interval of time
 * @param expirationUnit unit of the expiration, such as {@code DAY}; empty when rows are kept for ever
 */
public record Partitioning(
        String column,
        int interval,
        String intervalUnit,
        int hashCount,
        String hashColumn,
        int expiration,
        String expirationUnit) {}
