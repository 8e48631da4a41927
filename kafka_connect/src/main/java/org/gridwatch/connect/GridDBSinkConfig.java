package org.gridwatch.connect;

import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneId;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigException;
import org.gridwatch.connect.record.KeyMode;
import org.gridwatch.connect.record.NameFormat;
import org.gridwatch.connect.record.SchemaMaker;
import org.gridwatch.connect.record.TimeText;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.ContainerKind;
import org.gridwatch.connect.writer.WriterSettings;

/** A connector's configuration, checked and in Java's types; {@link Options} tells what each option is for. */
public final class GridDBSinkConfig extends AbstractConfig {
    /**
     * Reads a configuration.
     *
     * @throws ConfigException an option is missing, wrong, or does not go with another
     */
    public GridDBSinkConfig(Map<String, String> given) {
        super(Options.definition(), present(given));
        contradictions(present(given)).forEach((name, why) -> {
            throw new ConfigException(why);
        });
    }

    /**
     * Returns which options do not go with others, with the reason; empty when all is well.
     *
     * @param given options as text, each of which is right by itself
     */
    static Map<String, String> contradictions(Map<String, String> given) {
        Map<String, String> found = new LinkedHashMap<>();
        if (given.getOrDefault(Options.URL, "").startsWith("griddb://")) {
            for (String name : List.of(Options.USER, Options.PASSWORD)) {
                if (given.getOrDefault(name, "").isBlank()) {
                    found.put(name, name + " is missing; griddb:// always wants a login.");
                }
            }
        }
        boolean interval = number(given, Options.PARTITION_INTERVAL) > 0;
        boolean hash = number(given, Options.PARTITION_HASH_COUNT) > 0;
        if (number(given, Options.EXPIRATION_TIME) > 0 && !interval) {
            found.put(Options.EXPIRATION_TIME, Options.EXPIRATION_TIME + " wants " + Options.PARTITION_INTERVAL
                    + ": GridDB drops whole partitions.");
        }
        boolean hashColumn = !given.getOrDefault(Options.PARTITION_HASH_COLUMN, "").isEmpty();
        if (hashColumn != (interval && hash)) {
            found.put(Options.PARTITION_HASH_COLUMN, Options.PARTITION_HASH_COLUMN + " goes with both "
                    + Options.PARTITION_INTERVAL + " and " + Options.PARTITION_HASH_COUNT + ", and only with both.");
        }
        if (!given.getOrDefault(Options.PARTITION_COLUMN, "").isEmpty() && !interval && !hash) {
            found.put(Options.PARTITION_COLUMN, Options.PARTITION_COLUMN + " wants " + Options.PARTITION_INTERVAL
                    + " or " + Options.PARTITION_HASH_COUNT + ".");
        }
        List<String> key = names(given, Options.ROW_KEY_FIELDS);
        if (key.size() > 1 && "TIME_SERIES".equals(given.getOrDefault(Options.CONTAINER_TYPE, "TIME_SERIES").trim())) {
            found.put(Options.ROW_KEY_FIELDS, Options.ROW_KEY_FIELDS + " names " + String.join(", ", key)
                    + "; a time series has one key column (container.type=COLLECTION takes several).");
        }
        for (String name : List.of(Options.PARTITION_COLUMN, Options.PARTITION_HASH_COLUMN)) {
            String column = given.getOrDefault(name, "").trim();
            if (!column.isEmpty() && !key.isEmpty() && key.stream().noneMatch(column::equalsIgnoreCase)) {
                found.putIfAbsent(name, name + " is " + column + ", which is none of " + Options.ROW_KEY_FIELDS
                        + "; GridDB partitions by key columns only.");
            }
        }
        if (Boolean.parseBoolean(given.get(Options.DELETE_ENABLED))
                && given.getOrDefault(Options.NAME_FORMAT, "").contains("${field:")) {
            found.put(Options.DELETE_ENABLED, Options.DELETE_ENABLED + " does not go with ${field:...} in "
                    + Options.NAME_FORMAT + ": a tombstone has no fields.");
        }
        return found;
    }

    /** Returns the options that have a value; Connect's REST API takes null for one, which stands for the default. */
    static Map<String, String> present(Map<String, String> all) {
        Map<String, String> given = new HashMap<>(all);
        given.values().removeIf(Objects::isNull);
        return given;
    }

    private static List<String> names(Map<String, String> given, String name) {
        return Arrays.stream(given.getOrDefault(name, "").split(",")).map(String::trim).filter(one -> !one.isEmpty())
                .toList();
    }

    private static long number(Map<String, String> given, String name) {
        return Long.parseLong(given.getOrDefault(name, "0").trim());
    }

    /** Returns where to write, and as whom. */
    public WriterSettings writer() {
        String file = getString(Options.CA_FILE);
        return new WriterSettings(
                getString(Options.URL),
                getString(Options.USER),
                getPassword(Options.PASSWORD).value(),
                file.isEmpty() ? null : Path.of(file),
                Duration.ofMillis(getInt(Options.TIMEOUT_MS)));
    }

    public NameFormat nameFormat() {
        return NameFormat.parse(getString(Options.NAME_FORMAT), getBoolean(Options.NAME_SANITIZE));
    }

    public TimeText times() {
        return new TimeText(getString(Options.TIMESTAMP_PATTERN), ZoneId.of(getString(Options.TIMESTAMP_ZONE)));
    }

    /** Returns the fields of text that get a TIMESTAMP column, in lower case. */
    private Set<String> timestampFields() {
        return getList(Options.TIMESTAMP_FIELDS).stream()
                .map(name -> name.toLowerCase(Locale.ROOT))
                .collect(Collectors.toUnmodifiableSet());
    }

    private ContainerKind kind() {
        return ContainerKind.valueOf(getString(Options.CONTAINER_TYPE));
    }

    private List<String> rowKeyFields() {
        return getList(Options.ROW_KEY_FIELDS);
    }

    public KeyMode keyMode() {
        return KeyMode.valueOf(getString(Options.ROW_KEY_SOURCE).toUpperCase(Locale.ROOT));
    }

    private ColumnType decimalType() {
        return ColumnType.valueOf(getString(Options.DECIMAL_TYPE));
    }

    /** Returns what makes containers and columns from records' schemas. */
    public SchemaMaker schemaMaker() {
        return new SchemaMaker(kind(), rowKeyFields(), timestampFields(), decimalType(), keyMode());
    }

    public boolean autoCreate() {
        return getBoolean(Options.AUTO_CREATE);
    }

    public boolean autoEvolve() {
        return getBoolean(Options.AUTO_EVOLVE);
    }

    public boolean ignoresUnknownFields() {
        return "ignore".equals(getString(Options.UNKNOWN_FIELDS));
    }

    public boolean deletes() {
        return getBoolean(Options.DELETE_ENABLED);
    }

    /** Returns how containers that are made are spread, the column still as it was given; empty for not at all. */
    public Optional<PartitionOptions> partitions() {
        PartitionOptions options = new PartitionOptions(
                getString(Options.PARTITION_COLUMN),
                getInt(Options.PARTITION_INTERVAL),
                getString(Options.PARTITION_INTERVAL_UNIT),
                getInt(Options.PARTITION_HASH_COUNT),
                getString(Options.PARTITION_HASH_COLUMN),
                getInt(Options.EXPIRATION_TIME),
                getString(Options.EXPIRATION_TIME_UNIT));
        return options.interval() > 0 || options.hashCount() > 0 ? Optional.of(options) : Optional.empty();
    }

    public int batchRowsMax() {
        return getInt(Options.BATCH_MAX_ROWS);
    }

    /** Returns how often a batch is handed over again; {@link Integer#MAX_VALUE} for ever. */
    public int retriesMax() {
        int given = getInt(Options.RETRIES_MAX);
        return given < 0 ? Integer.MAX_VALUE : given;
    }

    public Backoff backoff() {
        return new Backoff(getLong(Options.RETRY_BACKOFF_MS), getLong(Options.RETRY_BACKOFF_MAX_MS));
    }
}
