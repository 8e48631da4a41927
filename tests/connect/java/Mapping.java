import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.StringConverter;
import org.gridwatch.connect.TaskTrial;
import org.gridwatch.connect.record.BadRecordException;
import org.gridwatch.connect.record.Fields;
import org.gridwatch.connect.record.KeyMode;
import org.gridwatch.connect.record.RowMapper;
import org.gridwatch.connect.record.SchemaMaker;
import org.gridwatch.connect.record.TimeText;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;

/** Reads cases as JSON lines and answers with rows, containers or reasons, one line each. */
public final class Mapping {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Mapping() {}

    public static void main(String[] none) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode asked = JSON.readTree(line);
            out.println(JSON.writeValueAsString(asked.has("batches") ? TaskTrial.play(asked) : answer(asked)));
        }
    }

    private static JsonNode answer(JsonNode asked) {
        ArrayNode answers = JSON.createArrayNode();
        for (JsonNode record : asked.get("records")) {
            ObjectNode answer = answers.addObject();
            try {
                answer(asked, record, answer);
            } catch (BadRecordException error) {
                answer.put("reason", error.getMessage());
            } catch (DataException error) {
                answer.put("converter", String.valueOf(error.getMessage()));
            } catch (IllegalArgumentException error) {
                answer.put("wrong", error.getMessage());
            }
        }
        return answers;
    }

    private static void answer(JsonNode asked, JsonNode record, ObjectNode answer) {
        if (asked.has("pattern") && record.has("time")) {
            TimeText times = new TimeText(asked.get("pattern").asText(), ZoneId.of(asked.get("zone").asText()));
            Instant time = times.parse(record.get("time").asText());
            answer.put("seconds", time.getEpochSecond()).put("nanos", time.getNano());
            return;
        }
        SchemaAndValue value = converter(asked.get("schemas").asBoolean(), false).toConnectData("t", bytes(record.get("value")));
        SchemaAndValue key = key(asked.path("keys").asText("string"), record);
        if (asked.has("make")) {
            answer.set("container", container(made(asked.get("make"), value.schema(), key.schema())));
            return;
        }
        Container container = container(asked.get("container"));
        TimeText times = new TimeText(asked.path("pattern").asText(""), ZoneId.of(asked.path("zone").asText("UTC")));
        KeyMode mode = KeyMode.valueOf(asked.path("key_mode").asText("VALUE"));
        RowMapper mapper = new RowMapper(
                container, times, asked.path("ignore").asBoolean(), List.of(), mode);
        if (value.value() == null) {
            answer.set("key", row(mapper.key(key.schema(), key.value())));
            return;
        }
        answer.set("row", row(mapper.row(Fields.of(value.value(), "the row"), key.schema(), key.value())));
    }

    private static Container made(JsonNode options, Schema schema, Schema keySchema) {
        List<String> key = texts(options.get("row_key"));
        SchemaMaker maker = new SchemaMaker(
                ContainerKind.valueOf(options.get("kind").asText()),
                key,
                java.util.Set.copyOf(texts(options.get("timestamp_fields"))),
                ColumnType.valueOf(options.get("decimal").asText()),
                KeyMode.valueOf(options.get("key_mode").asText()));
        return maker.container("c", schema, keySchema);
    }

    private static JsonConverter converter(boolean schemas, boolean key) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", String.valueOf(schemas)), key);
        return converter;
    }

    private static SchemaAndValue key(String kind, JsonNode record) {
        byte[] bytes = bytes(record.path("key"));
        return switch (kind) {
            case "string" -> new StringConverter().toConnectData("t", bytes);
            case "json" -> converter(false, true).toConnectData("t", bytes);
            default -> converter(true, true).toConnectData("t", bytes);
        };
    }

    private static byte[] bytes(JsonNode text) {
        return text.isMissingNode() || text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static Container container(JsonNode given) {
        List<Column> columns = new ArrayList<>();
        for (JsonNode column : given.get("columns")) {
            columns.add(new Column(column.get(0).asText(), ColumnType.valueOf(column.get(1).asText()), column.get(2).asBoolean()));
        }
        return new Container("c", ContainerKind.valueOf(given.get("kind").asText()), columns, texts(given.get("row_key")));
    }

    private static JsonNode container(Container made) {
        ObjectNode told = JSON.createObjectNode().put("kind", made.kind().name());
        ArrayNode columns = told.putArray("columns");
        for (Column column : made.columns()) {
            columns.addArray().add(column.name()).add(column.type().name()).add(column.nullable());
        }
        made.rowKey().forEach(told.putArray("row_key")::add);
        return told;
    }

    private static List<String> texts(JsonNode list) {
        List<String> found = new ArrayList<>();
        list.forEach(one -> found.add(one.asText()));
        return found;
    }

    private static ArrayNode row(Object[] values) {
        ArrayNode told = JSON.createArrayNode();
        for (Object value : values) {
            told.add(value(value));
        }
        return told;
    }

    private static JsonNode value(Object value) {
        if (value instanceof Instant time) {
            return JSON.createArrayNode().add(time.getEpochSecond()).add(time.getNano());
        }
        if (value instanceof byte[] bytes) {
            return JSON.valueToTree(Base64.getEncoder().encodeToString(bytes));
        }
        if (value != null && value.getClass().isArray()) {
            ArrayNode told = JSON.createArrayNode();
            for (int i = 0; i < Array.getLength(value); i++) {
                told.add(value(Array.get(value, i)));
            }
            return told;
        }
        // A Float's own digits, so that 0.1 is read as what it is.
        return value instanceof Float number ? JSON.valueToTree(number.doubleValue()) : JSON.valueToTree(value);
    }
}
