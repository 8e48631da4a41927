package org.gridwatch.connect;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import javax.management.ObjectName;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTaskContext;

/** One task over a {@link ScriptedWriter}: started, handed batches, stopped. */
public final class TaskTrial {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Schema PLAIN = schema(false);
    private static final Schema WIDE = schema(true);

    private final ScriptedWriter writer = new ScriptedWriter();
    private final GridDBSinkTask task = new GridDBSinkTask(settings -> writer);
    private final List<String> reported = new ArrayList<>();
    private final boolean reports;
    private Long timeoutMs;

    private TaskTrial(Map<String, String> options, boolean reports) {
        this.reports = reports;
        task.initialize((SinkTaskContext) Proxy.newProxyInstance(
                TaskTrial.class.getClassLoader(), new Class<?>[] {SinkTaskContext.class}, (self, method, given) -> {
                    switch (method.getName()) {
                        case "timeout" -> timeoutMs = (Long) given[0];
                        case "errantRecordReporter" -> {
                            return this.reports ? (ErrantRecordReporter) this::report : null;
                        }
                        default -> throw new UnsupportedOperationException(method.getName());
                    }
                    return null;
                }));
        Map<String, String> all = new HashMap<>(options);
        all.put("name", "trial");
        all.put("connection.url", "griddb+http://127.0.0.1:1/c/d");
        task.start(all);
    }

    private CompletableFuture<Void> report(SinkRecord record, Throwable error) {
        reported.add(record.kafkaOffset() + ": " + error.getMessage());
        return CompletableFuture.completedFuture(null);
    }

    private static Schema schema(boolean wide) {
        SchemaBuilder made = SchemaBuilder.struct().field("id", Schema.INT64_SCHEMA);
        if (wide) {
            made.field("w", Schema.OPTIONAL_INT64_SCHEMA);
        }
        return made.field("v", Schema.OPTIONAL_INT64_SCHEMA).build();
    }

    /** Plays a case: {@code options}, {@code reports}, and {@code batches} of {@code script} and {@code records}. */
    public static JsonNode play(JsonNode asked) throws Exception {
        Map<String, String> options = new HashMap<>();
        asked.get("options").properties().forEach(one -> options.put(one.getKey(), one.getValue().asText()));
        TaskTrial trial = new TaskTrial(options, asked.path("reports").asBoolean(true));
        var answers = JSON.createArrayNode();
        try {
            for (JsonNode batch : asked.get("batches")) {
                answers.add(trial.batch(batch));
            }
        } finally {
            trial.task.stop();
        }
        return answers;
    }

    private ObjectNode batch(JsonNode batch) throws Exception {
        writer.calls = JSON.createArrayNode();
        writer.script.clear();
        batch.path("script").forEach(one -> writer.script.add(one.asText()));
        reported.clear();
        timeoutMs = null;
        List<SinkRecord> records = new ArrayList<>();
        for (JsonNode record : batch.get("records")) {
            records.add(record(record, records.size()));
        }
        ObjectNode answer = JSON.createObjectNode();
        try {
            task.put(records);
        } catch (RuntimeException error) {
            answer.put("thrown", error.getClass().getSimpleName()).put("message", error.getMessage());
        }
        answer.set("calls", writer.calls);
        answer.set("reported", JSON.valueToTree(reported));
        answer.put("timeout_ms", timeoutMs);
        ObjectName name = new ObjectName("org.gridwatch.connect:type=sink-task,connector=trial,task=0");
        ObjectNode figures = answer.putObject("figures");
        for (String figure : List.of("RowsWritten", "RowsDeleted", "Batches", "Retries", "RecordsRefused", "LastError")) {
            Object value = ManagementFactory.getPlatformMBeanServer().getAttribute(name, figure);
            figures.set(figure, JSON.valueToTree(value));
        }
        return answer;
    }

    /** A record is {@code [topic, id, v]}, {@code [topic, id, v, w]}, or {@code [topic, id]} to delete. */
    private static SinkRecord record(JsonNode given, long offset) {
        String topic = given.get(0).asText();
        long id = given.get(1).asLong();
        if (given.size() == 2) {
            return new SinkRecord(topic, 0, null, String.valueOf(id), null, null, offset);
        }
        Schema schema = given.size() == 4 ? WIDE : PLAIN;
        Struct value = new Struct(schema).put("id", id).put("v", given.get(2).asLong());
        if (given.size() == 4) {
            value.put("w", given.get(3).asLong());
        }
        return new SinkRecord(topic, 0, null, String.valueOf(id), schema, value, offset);
    }
}
