package org.gridwatch.connect;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.sink.SinkRecord;
import org.gridwatch.connect.record.BadRecordException;
import org.gridwatch.connect.record.Field;
import org.gridwatch.connect.record.Fields;
import org.gridwatch.connect.record.RowMapper;
import org.gridwatch.connect.record.SchemaMaker;
import org.gridwatch.connect.record.TimeText;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The containers that records go to: looked up once, made and widened where that is allowed.
 *
 * <p>What is known may be old. Within one batch, {@link #begin} to {@link #begin}, each container is looked at once
 * more when a record does not fit it.
 */
final class Containers {
    private static final Logger LOG = LoggerFactory.getLogger(Containers.class);
    private static final int KNOWN_MAX = 1_000;

    private final ContainerWriter writer;
    private final GridDBSinkConfig config;
    private final SchemaMaker maker;
    private final TimeText times;
    private final List<String> routing;
    private final Map<String, RowMapper> known = new LinkedHashMap<>(16, 0.75f, true);
    private final Set<String> fresh = new HashSet<>();
    private final Map<String, Map<Schema, String>> failed = new HashMap<>();
    private boolean changed;

    Containers(ContainerWriter writer, GridDBSinkConfig config) {
        this.writer = writer;
        this.config = config;
        this.maker = config.schemaMaker();
        this.times = config.times();
        this.routing = config.nameFormat().fields();
    }

    /** Begins a batch. What was not used for long is forgotten now, and nothing before the next batch. */
    void begin() {
        fresh.clear();
        failed.clear();
        changed = false;
        Iterator<RowMapper> eldest = known.values().iterator();
        while (known.size() > KNOWN_MAX) {
            eldest.next();
            eldest.remove();
        }
    }

    /** Tells whether a container was made or has changed since the last call, so that rows must be mapped anew. */
    boolean takeChanged() {
        boolean was = changed;
        changed = false;
        return was;
    }

    /** Returns the container that is known or found under a name; empty when there is none. */
    Optional<RowMapper> find(String name) {
        RowMapper found = known.get(lower(name));
        return found != null ? Optional.of(found) : fresh.contains(lower(name)) ? Optional.empty() : look(name);
    }

    /** Looks a container up anew; returns whether it is another than was known. */
    boolean hasChanged(String name) {
        RowMapper old = known.get(lower(name));
        Optional<RowMapper> now = look(name);
        return old == null || now.isEmpty() || !now.get().container().equals(old.container());
    }

    private Optional<RowMapper> look(String name) {
        Optional<Container> found = writer.container(name);
        fresh.add(lower(name));
        RowMapper old = known.get(lower(name));
        if (found.isEmpty()) {
            known.remove(lower(name));
            changed |= old != null;
            return Optional.empty();
        }
        if (old != null && old.container().equals(found.get())) {
            return Optional.of(old);
        }
        changed |= old != null;
        if (found.get().rowKey().isEmpty()) {
            LOG.warn("Container without row key: records that come twice are rows twice. container={}", name);
        }
        RowMapper made = new RowMapper(
                found.get(), times, config.ignoresUnknownFields(), routing, config.keyMode());
        known.put(lower(name), made);
        return Optional.of(made);
    }

    /**
     * Returns a record's row.
     *
     * @param name of the container
     * @param mapper of the container
     * @throws BadRecordException it does not fit
     */
    Object[] row(String name, RowMapper mapper, SinkRecord record, Fields fields) {
        try {
            return widened(name, mapper, fields).row(fields, record.keySchema(), record.key());
        } catch (BadRecordException error) {
            if (fresh.contains(lower(name))) {
                throw error;
            }
            // Perhaps the container has got more columns, or was made anew, since it was looked at.
            RowMapper now = look(name).orElseThrow(() -> missing(name));
            if (now == mapper) {
                throw error;
            }
            return widened(name, now, fields).row(fields, record.keySchema(), record.key());
        }
    }

    private RowMapper widened(String name, RowMapper mapper, Fields fields) {
        if (!config.autoEvolve() || fields.schema() == null || mapper.unknown(fields).isEmpty()) {
            return mapper;
        }
        once(name, fields.schema(), () -> {
            // Others may have been quicker.
            RowMapper now = look(name).orElseThrow(() -> missing(name));
            List<Field> unknown = now.unknown(fields);
            if (!unknown.isEmpty()) {
                writer.addColumns(now.container().name(), added(now.container(), unknown));
                look(name);
            }
        });
        return known.getOrDefault(lower(name), mapper);
    }

    private List<Column> added(Container container, List<Field> fields) {
        List<Column> columns = fields.stream()
                .map(field -> maker.column(field.name(), field.schema()))
                .map(column -> new Column(column.name(), column.type(), true))
                .toList();
        boolean fixed = container.columns().stream().noneMatch(column -> column.type().isVariable());
        for (Column column : columns) {
            if (fixed && column.type().isVariable()) {
                throw new BadRecordException("field '" + column.name() + "' would be the first "
                        + column.type().sqlName() + " column of container '" + container.name()
                        + "', whose older rows GridDB's native client could not read any more; make the container "
                        + "anew");
            }
        }
        return columns;
    }

    /**
     * Makes the container that a record's schema describes.
     *
     * @throws BadRecordException that is not allowed, or the record describes none
     */
    RowMapper create(String name, SinkRecord record, Fields fields) {
        if (!config.autoCreate()) {
            throw missing(name);
        }
        if (fields.schema() == null) {
            throw new BadRecordException(
                    "there is no container '" + name + "', and the record has no schema to make it from");
        }
        once(name, fields.schema(), () -> {
            Container described = maker.container(name, fields.schema(), record.keySchema());
            Container made = new Container(described.name(), described.kind(), described.columns(), described.rowKey(),
                    config.partitions().map(options -> options.of(described)).orElse(null));
            writer.create(made);
            LOG.info("Container made: container={} columns={}", name,
                    made.columns().stream().map(Column::name).collect(Collectors.joining(",")));
        });
        changed = true;
        return look(name).orElseThrow(
                () -> WriteException.retriable("container '" + name + "' was dropped again", null));
    }

    /** Runs what a schema asks for, unless that has failed in this batch: not for each of its records again. */
    private void once(String name, Schema schema, Runnable action) {
        Map<Schema, String> reasons = failed.computeIfAbsent(lower(name), none -> new HashMap<>());
        String before = reasons.get(schema);
        if (before != null) {
            throw new BadRecordException(before);
        }
        try {
            action.run();
        } catch (BadRecordException error) {
            reasons.put(schema, error.getMessage());
            throw error;
        } catch (WriteException error) {
            if (error.kind() != WriteException.Kind.REFUSED) {
                throw error;
            }
            reasons.put(schema, error.getMessage());
            throw new BadRecordException(error.getMessage(), error);
        }
    }

    private static BadRecordException missing(String name) {
        return new BadRecordException("there is no container '" + name + "'; make it, or set auto.create=true");
    }

    private static String lower(String name) {
        return name.toLowerCase(Locale.ROOT);
    }
}
