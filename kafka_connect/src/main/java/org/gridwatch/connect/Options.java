package org.gridwatch.connect;

import java.util.List;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.Validator;
import org.apache.kafka.common.config.ConfigDef.Width;

/** The connector's options: names, defaults, what each is for, and what is accepted. */
public final class Options {
    public static final String URL = "connection.url";
    public static final String USER = "connection.user";
    public static final String PASSWORD = "connection.password";
    public static final String CA_FILE = "connection.ca.file";
    public static final String TIMEOUT_MS = "connection.timeout.ms";

    public static final String NAME_FORMAT = "container.name.format";
    public static final String NAME_SANITIZE = "container.name.sanitize";
    public static final String CONTAINER_TYPE = "container.type";
    public static final String ROW_KEY_FIELDS = "row.key.fields";
    public static final String ROW_KEY_SOURCE = "row.key.source";
    public static final String AUTO_CREATE = "auto.create";
    public static final String AUTO_EVOLVE = "auto.evolve";
    public static final String DECIMAL_TYPE = "decimal.type";
    public static final String PARTITION_COLUMN = "partition.column";
    public static final String PARTITION_INTERVAL = "partition.interval";
    public static final String PARTITION_INTERVAL_UNIT = "partition.interval.unit";
    public static final String PARTITION_HASH_COUNT = "partition.hash.count";
    public static final String PARTITION_HASH_COLUMN = "partition.hash.column";
    public static final String EXPIRATION_TIME = "expiration.time";
    public static final String EXPIRATION_TIME_UNIT = "expiration.time.unit";

    public static final String UNKNOWN_FIELDS = "unknown.fields";
    public static final String DELETE_ENABLED = "delete.enabled";
    public static final String TIMESTAMP_FIELDS = "timestamp.fields";
    public static final String TIMESTAMP_PATTERN = "timestamp.pattern";
    public static final String TIMESTAMP_ZONE = "timestamp.zone";

    public static final String BATCH_MAX_ROWS = "batch.max.rows";
    public static final String RETRIES_MAX = "retries.max";
    public static final String RETRY_BACKOFF_MS = "retry.backoff.ms";
    public static final String RETRY_BACKOFF_MAX_MS = "retry.backoff.max.ms";

    private static final String CONNECTION = "Connection";
    private static final String CONTAINERS = "Containers";
    private static final String RECORDS = "Records";
    private static final String WRITES = "Writes";

    private final ConfigDef definition = new ConfigDef();
    private int order;

    private Options() {
        connection();
        containers();
        partitions();
        records();
        writes();
    }

    /** Returns what Kafka Connect validates configurations by and shows to people. */
    public static ConfigDef definition() {
        return new Options().definition;
    }

    private void connection() {
        add(CONNECTION, URL, Type.STRING, ConfigDef.NO_DEFAULT_VALUE, Checks::url, Importance.HIGH,
                "Where GridDB is: griddb://host:10001/cluster/database for the native client (several nodes: "
                        + "host1:10001,host2:10001; multicast: its address and port; address provider: "
                        + "griddb:///cluster/database?provider=http://...), or griddb+https://host/cluster/database "
                        + "and griddb+http://host:8081/cluster/database for the GridDB Web API, as GridDB Cloud has "
                        + "it.");
        add(CONNECTION, USER, Type.STRING, "", null, Importance.HIGH,
                "The user who logs in to GridDB. Over the Web API empty means that the password is a token.");
        add(CONNECTION, PASSWORD, Type.PASSWORD, "", null, Importance.HIGH,
                "The user's password. Give it through one of Connect's configuration providers, such as "
                        + "${file:/etc/griddb.properties:password}: what stands here in clear is shown by Connect's "
                        + "REST API. "
                        + "Over the Web API empty means no login, as gridwatch serve takes it from its own machine.");
        add(CONNECTION, CA_FILE, Type.STRING, "", Checks::readableFile, Importance.LOW,
                "A file of certificates (PEM) that a griddb+https:// server is trusted by, besides those that Java "
                        + "trusts.");
        add(CONNECTION, TIMEOUT_MS, Type.INT, 30_000, Checks.atLeast(1_000), Importance.LOW,
                "Longest wait for one answer of GridDB, in ms; after that the write is tried again.");
    }

    private void containers() {
        add(CONTAINERS, NAME_FORMAT, Type.STRING, "${topic}", Checks::nameFormat, Importance.HIGH,
                "The container that a record goes to. ${topic} stands for the record's topic, ${field:NAME} for the "
                        + "value of one of its fields, so that one topic may feed many containers.");
        add(CONTAINERS, NAME_SANITIZE, Type.BOOLEAN, false, null, Importance.LOW,
                "Whether characters that GridDB does not take in a container's name become _; otherwise such a record "
                        + "is a bad one. GridDB takes A-Z a-z 0-9 _ - . / =. Names that become alike share a "
                        + "container.");
        add(CONTAINERS, AUTO_CREATE, Type.BOOLEAN, true, null, Importance.HIGH,
                "Whether a container that is missing is made from the record's schema. Records without schema need "
                        + "their container made beforehand.");
        add(CONTAINERS, AUTO_EVOLVE, Type.BOOLEAN, false, null, Importance.MEDIUM,
                "Whether fields that a container has no column for get one, when the record has a schema. The first "
                        + "STRING, BLOB or array column of a container without any is refused: GridDB's native client "
                        + "could "
                        + "not read the older rows any more.");
        add(CONTAINERS, CONTAINER_TYPE, Type.STRING, "TIME_SERIES", Checks.oneOf("TIME_SERIES", "COLLECTION"),
                Importance.HIGH, "What is made where a container is missing: TIME_SERIES or COLLECTION.");
        add(CONTAINERS, ROW_KEY_FIELDS, Type.LIST, List.of(), Checks::names, Importance.HIGH,
                "The row key of containers that are made. Empty: for a time series the field ts, or else the first one "
                        + "that is a timestamp; for a collection the fields of the record's key, if that is a struct.");
        add(CONTAINERS, ROW_KEY_SOURCE, Type.STRING, "value", Checks.oneOf("value", "fill", "key"), Importance.MEDIUM,
                "Where a row's key comes from: value (fields of the record's value, as all other columns), key (the "
                        + "record's key), or fill (the value's fields, and the record's key for those that it lacks). "
                        + "A "
                        + "record's key is a struct or map with the key columns' names, a list of their values in "
                        + "order, or "
                        + "the one value itself; text is read as the column's type, a composite key as a JSON list.");
        add(CONTAINERS, DECIMAL_TYPE, Type.STRING, "DOUBLE", Checks.oneOf("DOUBLE", "STRING", "LONG"), Importance.LOW,
                "The column that is made for a field of Connect's type Decimal: DOUBLE (nearest number), STRING "
                        + "(exact, as text) or LONG (whole numbers only).");
    }

    private void partitions() {
        add(CONTAINERS, PARTITION_COLUMN, Type.STRING, "", null, Importance.LOW,
                "The column that containers are partitioned by when they are made; a key column. Empty: the first key "
                        + "column, if one of the other partition options asks for partitions.");
        add(CONTAINERS, PARTITION_INTERVAL, Type.INT, 0, Checks.atLeast(0), Importance.LOW,
                "Width of one partition; 0: not partitioned by intervals.");
        add(CONTAINERS, PARTITION_INTERVAL_UNIT, Type.STRING, "DAY", Checks.oneOf("DAY", "HOUR"), Importance.LOW,
                "Unit of partition.interval for a column of times: DAY or HOUR. Columns of numbers have none.");
        add(CONTAINERS, PARTITION_HASH_COUNT, Type.INT, 0, Checks.between(0, 1024), Importance.LOW,
                "Number of partitions by hash, at most 1024; 0: none. With an interval, each interval is spread so.");
        add(CONTAINERS, PARTITION_HASH_COLUMN, Type.STRING, "", null, Importance.LOW,
                "The column of the hash where there is an interval too; a key column.");
        add(CONTAINERS, EXPIRATION_TIME, Type.INT, 0, Checks.atLeast(0), Importance.LOW,
                "How long rows are kept: a partition is dropped that long after its end. 0: for ever. Wants "
                        + "partition.interval on a column of times.");
        add(CONTAINERS, EXPIRATION_TIME_UNIT, Type.STRING, "DAY",
                Checks.oneOf("DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"), Importance.LOW,
                "Unit of expiration.time: DAY, HOUR, MINUTE, SECOND or MILLISECOND.");
    }

    private void records() {
        add(RECORDS, UNKNOWN_FIELDS, Type.STRING, "refuse", Checks.oneOf("refuse", "ignore"), Importance.MEDIUM,
                "What is done with a field that the container has no column for: refuse (the record is a bad one) or "
                        + "ignore (the field is left out).");
        add(RECORDS, DELETE_ENABLED, Type.BOOLEAN, false, null, Importance.MEDIUM,
                "Whether a record without value (a tombstone) deletes the row with the record's key; otherwise it is a "
                        + "bad record. Wants container.name.format without ${field:...}.");
        add(RECORDS, TIMESTAMP_FIELDS, Type.LIST, List.of(), Checks::names, Importance.MEDIUM,
                "Fields of text for which containers that are made get a TIMESTAMP column. Text for a TIMESTAMP column "
                        + "that is there is always read as a time.");
        add(RECORDS, TIMESTAMP_PATTERN, Type.STRING, "", Checks::timestampPattern, Importance.MEDIUM,
                "How times in text are written, in the letters of Java's DateTimeFormatter, such as yyyy-MM-dd "
                        + "HH:mm:ss "
                        + "(HH: 0 to 23; hh is the clock of 12 hours and wants a). Empty: ISO 8601.");
        add(RECORDS, TIMESTAMP_ZONE, Type.STRING, "UTC", Checks::zone, Importance.MEDIUM,
                "The time zone of text that names none, such as America/New_York. Times that come twice or never there "
                        + "because of daylight saving make a bad record.");
    }

    private void writes() {
        add(WRITES, BATCH_MAX_ROWS, Type.INT, 5_000, Checks.between(1, 100_000), Importance.MEDIUM,
                "Most rows of one request to GridDB. Connect hands over at most consumer.override.max.poll.records "
                        + "records at a time (500 unless told), so raise that too.");
        add(WRITES, RETRIES_MAX, Type.INT, -1, Checks.atLeast(-1), Importance.MEDIUM,
                "How often a batch is handed over again when GridDB is away or busy before the task fails; -1: for "
                        + "ever. Nothing is lost meanwhile: Connect waits and keeps its place.");
        add(WRITES, RETRY_BACKOFF_MS, Type.LONG, 500L, Checks.atLeast(1), Importance.LOW,
                "Wait before such a repetition, in ms; it doubles each time.");
        add(WRITES, RETRY_BACKOFF_MAX_MS, Type.LONG, 30_000L, Checks.atLeast(1), Importance.LOW,
                "Longest wait before such a repetition, in ms.");
    }

    private void add(
            String group,
            String name,
            Type type,
            Object standard,
            Validator check,
            Importance importance,
            String text) {
        definition.define(name, type, standard, check, importance, text, group, ++order, Width.MEDIUM, name);
    }
}
