package org.gridwatch.connect.json;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.ValidString;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/**
 * Reads JSON records, with the schema beside the row ({@code {"schema": ..., "payload": ...}}) or without one, both in
 * one topic if need be.
 *
 * <p>It takes no value for something else than it is. Kafka's own {@code JsonConverter} gives 0 for a text where the
 * schema says number, null for a number where it says string, and cuts numbers that are too large; here each of them is
 * an error, which makes the record a dead letter. Records whose bytes begin with the schema of the one before, as those
 * of one producer do, have only their row parsed.
 *
 * <p>Connect goes on without waiting until the dead letter of a record that its converter refuses is stored. With
 * {@code value.converter.unreadable=sink} this one hands an {@link Unreadable} over instead, which gridwatch's sink
 * reports, so that nothing is committed before.
 *
 * <p>It is for sinks: it writes no records.
 */
public final class StrictJsonConverter implements Converter {
    private static final ObjectMapper JSON = new ObjectMapper()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);
    /** For schemas with a Decimal, whose numbers may have more digits than a double keeps. */
    private static final ObjectMapper EXACT_JSON =
            JSON.copy().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);
    private static final String UNREADABLE = "unreadable";
    private static final String SINK = "sink";
    private static final ConfigDef OPTIONS = new ConfigDef().define(
            UNREADABLE, Type.STRING, "fail", ValidString.in("fail", SINK), Importance.MEDIUM,
            "Who deals with a record that cannot be read: Connect (fail), or the sink, which has to be gridwatch's "
                    + "(sink), without transformations before it.");
    private static final byte[] MARK = "\"payload\":".getBytes(StandardCharsets.US_ASCII);
    private static final int TOPICS_MAX = 10_000;

    private final Map<String, Known> known = new ConcurrentHashMap<>();
    private boolean forKeys;
    private boolean handsOver;

    /** What the last record of a topic began with, up to its row, the schema in it, and what reads such rows. */
    private record Known(byte[] prefix, Schema schema, ObjectMapper json) {}

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {
        forKeys = isKey;
        handsOver = !isKey && SINK.equals(new AbstractConfig(OPTIONS, configs, false).getString(UNREADABLE));
    }

    @Override
    public ConfigDef config() {
        return OPTIONS;
    }

    /**
     * Refuses: this converter reads only.
     *
     * @throws DataException always
     */
    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        throw new DataException("StrictJsonConverter reads records and writes none; use Kafka's JsonConverter for "
                + topic);
    }

    /**
     * Reads a record.
     *
     * @throws DataException it is no JSON, or its row does not fit its schema; tells the field, its value and its type
     */
    @Override
    public SchemaAndValue toConnectData(String topic, byte[] value) {
        if (!handsOver) {
            return read(topic, value);
        }
        try {
            return read(topic, value);
        } catch (DataException | IllegalArgumentException error) {
            return new SchemaAndValue(null, new Unreadable(error.getMessage()));
        }
    }

    private SchemaAndValue read(String topic, byte[] value) {
        if (value == null) {
            return SchemaAndValue.NULL;
        }
        Known before = known.get(topic);
        if (before != null && begins(value, before.prefix)) {
            JsonNode row = rest(before.json, value, before.prefix.length);
            if (row != null) {
                return new SchemaAndValue(before.schema, JsonValues.read(before.schema, row, "the row"));
            }
        }
        JsonNode record = parse(JSON, value);
        if (!record.isObject() || record.size() != 2 || !record.has("schema") || !record.has("payload")) {
            return plain(record, "the row is null, not an object");
        }
        if (record.get("schema").isNull()) {
            return plain(
                    record.get("payload"),
                    "tombstone (null payload): rows are deleted only by a record without value");
        }
        Schema schema = JsonSchemas.read(record.get("schema"));
        ObjectMapper json = JsonSchemas.hasDecimal(schema) ? EXACT_JSON : JSON;
        JsonNode row = (json == JSON ? record : parse(json, value)).get("payload");
        Object read = JsonValues.read(schema, row, "the row");
        remember(topic, value, record.get("schema"), row, new Known(value, schema, json));
        return new SchemaAndValue(schema, read);
    }

    /** Returns a row without schema; as null it would be a tombstone, which only a record without value is. */
    private SchemaAndValue plain(JsonNode row, String whenNull) {
        if (row.isNull() && !forKeys) {
            throw new DataException(whenNull);
        }
        return new SchemaAndValue(null, JsonValues.plain(row));
    }

    private static boolean begins(byte[] value, byte[] prefix) {
        return value.length > prefix.length
                && value[value.length - 1] == '}'
                && Arrays.equals(value, 0, prefix.length, prefix, 0, prefix.length);
    }

    /** Returns the row behind a prefix, or null when the bytes are not as simple as that. */
    private static JsonNode rest(ObjectMapper json, byte[] value, int begin) {
        try {
            JsonNode row = json.readTree(value, begin, value.length - 1 - begin);
            return row.isMissingNode() ? null : row;
        } catch (IOException error) {
            return null;
        }
    }

    /** Keeps what is before the row, if it is the beginning of an envelope and nothing else. */
    private void remember(String topic, byte[] value, JsonNode schema, JsonNode row, Known read) {
        int end = indexOf(value, MARK) + MARK.length;
        if (end < MARK.length || known.size() >= TOPICS_MAX || value[value.length - 1] != '}') {
            return;
        }
        byte[] prefix = Arrays.copyOf(value, end);
        byte[] closed = Arrays.copyOf(prefix, end + 2);
        closed[end] = '0';
        closed[end + 1] = '}';
        try {
            JsonNode envelope = JSON.readTree(closed);
            boolean simple = envelope.size() == 2 && schema.equals(envelope.get("schema"));
            if (simple && row.equals(rest(read.json, value, end))) {
                known.put(topic, new Known(prefix, read.schema, read.json));
            }
        } catch (IOException error) {
            // Another order of the parts, or the mark inside a text: such records are read whole.
            known.remove(topic);
        }
    }

    private static int indexOf(byte[] value, byte[] mark) {
        for (int begin = 0; begin <= value.length - mark.length; begin++) {
            if (Arrays.equals(value, begin, begin + mark.length, mark, 0, mark.length)) {
                return begin;
            }
        }
        return -mark.length - 1;
    }

    private static JsonNode parse(ObjectMapper json, byte[] value) {
        try {
            JsonNode read = json.readTree(value);
            if (read.isMissingNode()) {
                throw new DataException("not JSON (empty)");
            }
            return read;
        } catch (JsonProcessingException error) {
            throw new DataException("not JSON (" + error.getOriginalMessage() + ")", error);
        } catch (IOException error) {
            throw new DataException("not JSON (" + error.getMessage() + ")", error);
        }
    }
}
