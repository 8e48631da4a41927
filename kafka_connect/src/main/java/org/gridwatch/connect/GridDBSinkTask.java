package org.gridwatch.connect;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.RetriableException;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.gridwatch.connect.json.Unreadable;
import org.gridwatch.connect.record.BadRecordException;
import org.gridwatch.connect.record.Fields;
import org.gridwatch.connect.record.NameFormat;
import org.gridwatch.connect.record.RowMapper;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;
import org.gridwatch.connect.writer.WriterSettings;
import org.gridwatch.connect.writer.Writers;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts the records that Connect hands over into GridDB before it returns; nothing waits from one call to the next, so
 * that the offsets that Connect commits are those of rows that are written.
 *
 * <p>A batch that fails is handed over again as a whole. Rows have keys, so those that were written are the same again.
 */
public final class GridDBSinkTask extends SinkTask {
    private static final Logger LOG = LoggerFactory.getLogger(GridDBSinkTask.class);
    private static final int ATTEMPTS_MAX = 4;
    private static final long LETTER_WAIT_MS = TimeUnit.SECONDS.toMillis(60);

    private final Function<WriterSettings, ContainerWriter> opener;
    private GridDBSinkConfig config;
    private NameFormat names;
    private ContainerWriter writer;
    private Containers containers;
    private TaskMetrics metrics;
    private boolean tolerant;
    private int failures;

    /** What a worker makes. */
    public GridDBSinkTask() {
        this(Writers::open);
    }

    GridDBSinkTask(Function<WriterSettings, ContainerWriter> opener) {
        this.opener = opener;
    }

    @Override
    public String version() {
        return GridDBSinkConnector.version(GridDBSinkTask.class);
    }

    @Override
    public void start(Map<String, String> properties) {
        config = new GridDBSinkConfig(properties);
        names = config.nameFormat();
        tolerant = "all".equalsIgnoreCase(properties.get("errors.tolerance"));
        metrics = new TaskMetrics(
                properties.getOrDefault("name", "griddb"), properties.getOrDefault(GridDBSinkConnector.TASK_ID, "0"));
        metrics.register();
        writer = opener.apply(config.writer());
        containers = new Containers(writer, config);
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        if (records.isEmpty()) {
            return;
        }
        List<Rejected> rejected;
        try {
            rejected = write(records);
        } catch (WriteException error) {
            throw failed(error);
        }
        failures = 0;
        // Only now: a batch that is handed over again would report them again.
        List<Future<Void>> letters = new ArrayList<>(rejected.size());
        for (Rejected bad : rejected) {
            letters.add(report(bad));
        }
        for (int i = 0; i < letters.size(); i++) {
            await(rejected.get(i), letters.get(i));
        }
    }

    private List<Rejected> write(Collection<SinkRecord> records) {
        containers.begin();
        for (int attempt = 1; ; attempt++) {
            List<Rejected> rejected = new ArrayList<>();
            List<Operation> operations = operations(records, rejected);
            Batches batches = new Batches(
                    writer, containers, new Retries(metrics, config.backoff()), metrics, config.batchRowsMax(),
                    rejected);
            try {
                operations.forEach(batches::add);
                batches.flush();
                return rejected;
            } catch (Batches.Changed error) {
                if (attempt == ATTEMPTS_MAX) {
                    throw WriteException.retriable("A container changes while its rows are on their way: "
                            + error.getCause().getMessage(), error);
                }
                LOG.info("A container has changed, its rows are made anew: reason={}", error.getCause().getMessage());
            }
        }
    }

    /** Returns what the records ask for; all of it made for the containers as they were at the end of this. */
    private List<Operation> operations(Collection<SinkRecord> records, List<Rejected> rejected) {
        List<Operation> operations = new ArrayList<>(records.size());
        for (int attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
            operations.clear();
            rejected.clear();
            containers.takeChanged();
            for (SinkRecord record : records) {
                try {
                    operation(record).ifPresent(operations::add);
                } catch (BadRecordException error) {
                    rejected.add(new Rejected(record, error.getMessage()));
                } catch (WriteException error) {
                    if (error.kind() != WriteException.Kind.REFUSED) {
                        throw error;
                    }
                    // GridDB does not even look for a container of this name.
                    rejected.add(new Rejected(record, error.getMessage()));
                }
            }
            if (!containers.takeChanged()) {
                return operations;
            }
        }
        throw WriteException.retriable("Containers change while rows are made for them", null);
    }

    private Optional<Operation> operation(SinkRecord record) {
        if (record.value() == null) {
            return deletion(record);
        }
        if (record.value() instanceof Unreadable unread) {
            throw new BadRecordException(unread.reason());
        }
        Fields fields = Fields.of(record.value(), "the row");
        String name = names.name(record.topic(), fields);
        RowMapper mapper = containers.find(name).orElseGet(() -> containers.create(name, record, fields));
        Object[] row = containers.row(name, mapper, record, fields);
        // The mapper may be another now.
        RowMapper now = containers.find(name).orElse(mapper);
        String own = now.container().name();
        Key key = config.deletes() ? Key.of(own, row, now.container().keyPositions()) : null;
        return Optional.of(new Operation(record, own, row, key, false));
    }

    private Optional<Operation> deletion(SinkRecord record) {
        if (!config.deletes()) {
            throw new BadRecordException(
                    "tombstone (null value): rows are deleted only with delete.enabled=true");
        }
        if (record.valueSchema() != null) {
            throw new BadRecordException("tombstone (null payload): rows are deleted only by a record without value");
        }
        Optional<RowMapper> mapper = containers.find(names.name(record.topic(), null));
        if (mapper.isEmpty()) {
            // Nothing is there to be deleted.
            return Optional.empty();
        }
        String own = mapper.get().container().name();
        Object[] key = mapper.get().key(record.keySchema(), record.key());
        return Optional.of(new Operation(record, own, key, Key.of(own, key), true));
    }

    private ConnectException failed(WriteException error) {
        metrics.failed(error.getMessage());
        if (error.kind() != WriteException.Kind.RETRIABLE) {
            return new ConnectException(error.getMessage(), error);
        }
        failures++;
        if (failures > config.retriesMax()) {
            return new ConnectException(
                    "Given up after " + config.retriesMax() + " repetitions (retries.max): " + error.getMessage(),
                    error);
        }
        long delayMs = config.backoff().delayMs(failures);
        LOG.warn("Nothing is committed, the batch comes again: failures={} again_in_ms={} reason={}",
                failures, delayMs, error.getMessage());
        context.timeout(delayMs);
        return new RetriableException(error.getMessage(), error);
    }

    /** Hands a bad record over; returns what is done when its dead letter is stored. */
    private Future<Void> report(Rejected bad) {
        metrics.refused(bad.reason());
        String place = place(bad.record());
        ErrantRecordReporter reporter = context.errantRecordReporter();
        if (reporter == null && tolerant) {
            // Connect has none where neither a topic of dead letters nor errors.log.enable is set.
            LOG.warn("Bad record left out, as errors.tolerance=all says: record={} reason={}", place, bad.reason());
            return CompletableFuture.completedFuture(null);
        }
        if (reporter == null) {
            throw new ConnectException("Bad record " + place + ": " + bad.reason()
                    + " (with errors.tolerance=all, such records go to the dead letters)");
        }
        try {
            return reporter.report(bad.record(), new BadRecordException(bad.reason()));
        } catch (ConnectException error) {
            throw new ConnectException("Bad record " + place + ": " + bad.reason(), error);
        }
    }

    /**
     * Waits until a dead letter is stored.
     *
     * <p>Connect would do so before it commits offsets, but commits them all the same when it closes the task for that.
     */
    private void await(Rejected bad, Future<Void> letter) {
        try {
            letter.get(LETTER_WAIT_MS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException error) {
            throw new ConnectException("The dead letter of record " + place(bad.record()) + " is not taken: "
                    + error.getCause() + " (the record is bad: " + bad.reason() + ")", error);
        } catch (TimeoutException error) {
            throw new RetriableException(
                    "The dead letter of record " + place(bad.record()) + " is not stored yet", error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new RetriableException("Interrupted while a dead letter was stored", error);
        }
    }

    /** Returns where a record lies in Kafka, whatever a transformation made of its topic. */
    private static String place(SinkRecord record) {
        return record.originalTopic() + "-" + record.originalKafkaPartition() + "-" + record.originalKafkaOffset();
    }

    @Override
    public void stop() {
        if (writer != null) {
            writer.close();
        }
        if (metrics != null) {
            metrics.close();
        }
    }
}
