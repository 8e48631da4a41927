package org.gridwatch.connect;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
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
        try {
            send(grouped);
        } catch (WriteException error) {
            checkRefused(error);
            grouped.forEach((name, own) -> {
                Consumer<List<Operation>> sender = some -> send(Map.of(name, some));
                if (grouped.size() == 1) {
                    sift(name, own, sender, error);
                } else {
                    sendOrSift(name, own, sender);
                }
            });
        }
    }

    private void send(Map<String, List<Operation>> grouped) {
        Map<String, List<Object[]>> rows = new LinkedHashMap<>();
        grouped.forEach((name, own) -> rows.put(name, values(own)));
        long count = grouped.values().stream().mapToLong(List::size).sum();
        long began = System.nanoTime();
        retries.run(() -> writer.put(rows));
        metrics.written(count, System.nanoTime() - began);
    }

    private void delete(List<Operation> operations) {
        String name = operations.get(0).container();
        sendOrSift(name, operations, some -> {
            long began = System.nanoTime();
            retries.run(() -> writer.delete(name, values(some)));
            metrics.deleted(some.size(), System.nanoTime() - began);
        });
    }

    private void sendOrSift(String name, List<Operation> operations, Consumer<List<Operation>> sender) {
        try {
            sender.accept(operations);
        } catch (WriteException error) {
            checkRefused(error);
            sift(name, operations, sender, error);
        }
    }

    /** Finds the refused operations on one container, unless the container has become another. */
    private void sift(
            String name, List<Operation> operations, Consumer<List<Operation>> sender, WriteException error) {
        checkSame(name, error);
        int before = rejected.size();
        halve(operations, sender, error);
        if (rejected.size() > before) {
            // Perhaps they were refused only since it has changed meanwhile. Asked once, as there may be many of them.
            checkSame(name, error);
        }
    }

    private void halve(List<Operation> operations, Consumer<List<Operation>> sender, WriteException refused) {
        if (operations.size() == 1) {
            rejected.add(new Rejected(operations.get(0).record(), refused.getMessage()));
            return;
        }
        int middle = operations.size() / 2;
        List<Operation> first = operations.subList(0, middle);
        for (List<Operation> half : List.of(first, operations.subList(middle, operations.size()))) {
            try {
                sender.accept(half);
            } catch (WriteException error) {
                checkRefused(error);
                halve(half, sender, error);
            }
        }
    }

    private void checkSame(String name, WriteException error) {
        if (containers.hasChanged(name)) {
            throw new Changed(error);
        }
    }

    /** Returns if it is the rows that are refused. */
    private static void checkRefused(WriteException error) {
        if (error.kind() != WriteException.Kind.REFUSED) {
            throw error;
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
