import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.gridwatch.connect.Options;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.Partitioning;
import org.gridwatch.connect.writer.WriteException;
import org.gridwatch.connect.writer.WriterSettings;
import org.gridwatch.connect.writer.webapi.WebApiUrl;
import org.gridwatch.connect.writer.webapi.WebApiWriter;

/** Calls the Web API's writer as JSON lines ask, and answers each with what it returns or throws. */
public final class WebApiProbe {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, ContainerWriter> writers = new HashMap<>();

    private WebApiProbe() {}

    public static void main(String[] none) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        WebApiProbe probe = new WebApiProbe();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(probe.answer(JSON.readTree(line))));
        }
    }

    private JsonNode answer(JsonNode asked) throws IOException {
        ObjectNode answer = JSON.createObjectNode();
        try {
            answer.set("answer", done(asked));
        } catch (WriteException error) {
            answer.put("kind", error.kind().name()).put("message", error.getMessage());
        } catch (IllegalArgumentException error) {
            answer.put("kind", "WRONG").put("message", error.getMessage());
        }
        return answer;
    }

    private JsonNode done(JsonNode asked) throws IOException {
        if (asked.get("do").asText().equals("options")) {
            return options();
        }
        if (asked.get("do").asText().equals("url")) {
            WebApiUrl url = WebApiUrl.parse(asked.get("url").asText());
            return JSON.createArrayNode().add(url.place() + url.path()).add(url.cluster()).add(url.database());
        }
        ContainerWriter writer = writers.get(asked.get("settings").toString());
        if (writer == null) {
            writer = new WebApiWriter(settings(asked.get("settings")));
            writers.put(asked.get("settings").toString(), writer);
        }
        switch (asked.get("do").asText()) {
            case "container" -> {
                return writer.container(asked.get("name").asText()).map(WebApiProbe::shown).orElse(JSON.nullNode());
            }
            case "create" -> writer.create(container(asked.get("container")));
            case "add" -> writer.addColumns(asked.get("name").asText(), columns(asked.get("columns")));
            case "put" -> put(writer, asked.get("rows"));
            case "delete" -> {
                Container found = writer.container(asked.get("name").asText()).orElseThrow();
                List<Column> key = found.rowKey().stream().map(one -> found.column(one).orElseThrow()).toList();
                List<Object[]> keys = new ArrayList<>();
                asked.get("keys").forEach(one -> keys.add(row(key, one)));
                writer.delete(found.name(), keys);
            }
            case "close" -> writer.close();
            default -> throw new IllegalArgumentException("do what?");
        }
        return JSON.nullNode();
    }

    /** The connector's options in their order, as {@code docs/connect.md} shows them. */
    private static JsonNode options() {
        ArrayNode options = JSON.createArrayNode();
        Options.definition().configKeys().values().stream()
                .sorted(Comparator.comparingInt(key -> key.orderInGroup))
                .forEach(key -> {
                    ObjectNode one = options.addObject();
                    one.put("name", key.name).put("group", key.group).put("type", key.type.name());
                    one.put("importance", key.importance.name()).put("text", key.documentation);
                    one.put("needed", !key.hasDefault());
                    one.put("default", key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null);
                });
        return options;
    }

    /** Rows by container; a container that is unknown yet is looked up first, as the task does. */
    private void put(ContainerWriter writer, JsonNode rows) {
        Map<String, List<Object[]>> made = new LinkedHashMap<>();
        rows.fields().forEachRemaining(entry -> {
            List<Column> columns = schemas.computeIfAbsent(
                    entry.getKey(), name -> writer.container(name).orElseThrow().columns());
            List<Object[]> values = new ArrayList<>();
            entry.getValue().forEach(one -> values.add(row(columns, one)));
            made.put(entry.getKey(), values);
        });
        writer.put(made);
    }

    private final Map<String, List<Column>> schemas = new HashMap<>();

    private static WriterSettings settings(JsonNode given) {
        String caFile = given.path("ca_file").asText("");
        return new WriterSettings(
                given.get("url").asText(),
                given.path("user").asText(""),
                given.path("password").asText(""),
                caFile.isEmpty() ? null : Path.of(caFile),
                Duration.ofMillis(given.path("timeout_ms").asLong(20_000)));
    }

    private static Container container(JsonNode given) {
        List<String> key = new ArrayList<>();
        given.get("key").forEach(one -> key.add(one.asText()));
        JsonNode how = given.path("partitioning");
        Partitioning partitioning = how.isMissingNode() ? null : new Partitioning(
                how.get(0).asText(), how.get(1).asInt(), how.get(2).asText(), how.get(3).asInt(), how.get(4).asText(),
                how.get(5).asInt(), how.get(6).asText());
        return new Container(given.get("name").asText(), ContainerKind.valueOf(given.get("kind").asText()),
                columns(given.get("columns")), key, partitioning);
    }

    private static List<Column> columns(JsonNode given) {
        List<Column> columns = new ArrayList<>();
        given.forEach(one -> columns.add(new Column(
                one.get(0).asText(), ColumnType.valueOf(one.get(1).asText()), one.get(2).asBoolean())));
        return columns;
    }

    private static JsonNode shown(Container container) {
        ObjectNode shown = JSON.createObjectNode();
        shown.put("name", container.name()).put("kind", container.kind().name());
        ArrayNode columns = shown.putArray("columns");
        for (Column column : container.columns()) {
            columns.addArray().add(column.name()).add(column.type().name()).add(column.nullable());
        }
        container.rowKey().forEach(shown.putArray("key")::add);
        return shown;
    }

    private static Object[] row(List<Column> columns, JsonNode values) {
        Object[] row = new Object[values.size()];
        for (int i = 0; i < row.length; i++) {
            row[i] = i < columns.size() ? value(columns.get(i).type(), values.get(i)) : values.get(i).asText();
        }
        return row;
    }

    private static Object value(ColumnType type, JsonNode value) {
        if (value.isNull()) {
            return null;
        }
        try {
            return switch (type) {
                case BOOL -> value.booleanValue();
                case STRING, GEOMETRY -> value.textValue();
                case BYTE -> (byte) value.intValue();
                case SHORT -> (short) value.intValue();
                case INTEGER -> value.intValue();
                case LONG -> value.longValue();
                case FLOAT -> value.floatValue();
                case DOUBLE -> value.doubleValue();
                case TIMESTAMP, TIMESTAMP_MICRO, TIMESTAMP_NANO -> Instant.parse(value.textValue());
                case BLOB -> value.binaryValue();
                default -> array(type, value);
            };
        } catch (IOException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static Object array(ColumnType type, JsonNode values) {
        Object array = Array.newInstance(type.javaType().getComponentType(), values.size());
        for (int i = 0; i < values.size(); i++) {
            Array.set(array, i, value(type.element(), values.get(i)));
        }
        return array;
    }
}
