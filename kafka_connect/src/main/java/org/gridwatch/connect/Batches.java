package org.gridwatch.connect;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;

/**
 * Sends operations in requests of many: puts of all containers together, deletions after them.
 *
 * <p>Operations on one key keep their order: a request is sent off before one that meets what waits.
 */
final class Batches {
    /** A container is another than the rows were made for: they must be made anew. */
    static final class Changed extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Changed(Throwable cause) {
            super(cause);
        }
    }

    private static final long BYTES_MAX = 32L << 20;

    private final ContainerWriter writer;
    private final Containers containers;
    private final Retries retries;
    private final TaskMetrics metrics;
    private final int rowsMax;
    private final List<Rejected> rejected;

    private final List<Operation> puts = new ArrayList<>();
    private final List<Operation> deletes = new ArrayList<>();
    private final Set<Key> putKeys = new HashSet<>();
    private final Set<Key> deleteKeys = new HashSet<>();
    private long bytes;

    /** @param rejected takes the records that GridDB refuses */
    Batches(
            ContainerWriter writer,
            Containers containers,
            Retries retries,
            TaskMetrics metrics,
            int rowsMax,
            List<Rejected> rejected) {
        this.writer = writer;
        this.containers = containers;
        this.retries = retries;
        this.metrics = metrics;
        this.rowsMax = rowsMax;
        this.rejected = rejected;
    }

    void add(Operation operation) {
        long size = Sizes.of(operation.values());
        boolean full = puts.size() + deletes.size() >= rowsMax || bytes + size > BYTES_MAX;
        boolean meets = operation.key() != null
                && (operation.delete() ? putKeys : deleteKeys).contains(operation.key());
        if (full || meets) {
            flush();
        }
        bytes += size;
        (operation.delete() ? deletes : puts).add(operation);
        if (operation.key() != null) {
            (operation.delete() ? deleteKeys : putKeys).add(operation.key());
        }
    }

    void flush() {
        if (!puts.isEmpty()) {
            put(puts);
        }
        byContainer(deletes).values().forEach(this::delete);
        puts.clear();
        deletes.clear();
        putKeys.clear();
        deleteKeys.clear();
        bytes = 0;
    }

    private void put(List<Operation> operations) {
        Map<String, List<Operation>> grouped = byContainer(operations);
        Map<String, List<Object[]>> rows = new LinkedHashMap<>();
        grouped.forEach((name, own) -> rows.put(name, values(own)));
        try {
            long began = System.nanoTime();
            retries.run(() -> writer.put(rows));
            metrics.written(operations.size(), System.nanoTime() - began);
        } catch (WriteException error) {
            checkRefused(error, grouped.keySet());
            if (grouped.size() > 1) {
                grouped.values().forEach(this::put);
            } else if (operations.size() == 1) {
                rejected.add(new Rejected(operations.get(0).record(), error.getMessage()));
            } else {
                int middle = operations.size() / 2;
                put(operations.subList(0, middle));
                put(operations.subList(middle, operations.size()));
            }
        }
    }

    private void delete(List<Operation> operations) {
        String name = operations.get(0).container();
        try {
            long began = System.nanoTime();
            retries.run(() -> writer.delete(name, values(operations)));
            metrics.deleted(operations.size(), System.nanoTime() - began);
        } catch (WriteException error) {
            checkRefused(error, Set.of(name));
            if (operations.size() == 1) {
                rejected.add(new Rejected(operations.get(0).record(), error.getMessage()));
                return;
            }
            int middle = operations.size() / 2;
            delete(operations.subList(0, middle));
            delete(operations.subList(middle, operations.size()));
        }
    }

    /** Returns if it is the rows that are refused. */
    private void checkRefused(WriteException error, Set<String> names) {
        if (error.kind() != WriteException.Kind.REFUSED) {
            throw error;
        }
        if (containers.haveChanged(names)) {
            throw new Changed(error);
        }
    }

    private static Map<String, List<Operation>> byContainer(List<Operation> operations) {
        return operations.stream()
                .collect(Collectors.groupingBy(Operation::container, LinkedHashMap::new, Collectors.toList()));
    }

    private static List<Object[]> values(List<Operation> operations) {
        return operations.stream().map(Operation::values).toList();
    }
}
