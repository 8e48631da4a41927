package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerationException;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.WriteException;

/** Rows as bodies of puts into several containers, each of a bounded size and listing no container twice. */
final class RowBodies {
    /** The API counts a number as eight bytes, however few digits it has. */
    private static final int VALUE_BYTES = 8;

    private static final JsonFactory FACTORY = new JsonFactory();

    private final Function<String, Container> schema;
    private final long bytesMax;

    /**
     * Prepares for puts.
     *
     * @param schema gives the container of a name
     * @param bytesMax of a body; it is closed by the row that passes this
     */
    RowBodies(Function<String, Container> schema, long bytesMax) {
        this.schema = schema;
        this.bytesMax = bytesMax;
    }

    /**
     * One put.
     *
     * @param body JSON
     * @param rows that it holds, by container
     */
    record Put(byte[] body, Map<String, List<Object[]>> rows) {
        int count() {
            return rows.values().stream().mapToInt(List::size).sum();
        }
    }

    /** Hands over one put after the other, in the rows' order; the next is made when the last has been taken. */
    void each(Map<String, List<Object[]>> rows, Consumer<Put> taker) {
        Open open = new Open();
        for (Map.Entry<String, List<Object[]>> entry : rows.entrySet()) {
            Container container = schema.apply(entry.getKey());
            for (Object[] row : entry.getValue()) {
                if (open.add(container, entry.getKey(), row) >= bytesMax) {
                    taker.accept(open.closed());
                    open = new Open();
                }
            }
        }
        if (!open.rows.isEmpty()) {
            taker.accept(open.closed());
        }
    }

    /** A body that rows are still added to. */
    private static final class Open {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(1 << 16);
        private final Map<String, List<Object[]>> rows = new LinkedHashMap<>();
        private final JsonGenerator json;
        private String current;
        private Cells cells;
        private long values;

        Open() {
            try {
                json = FACTORY.createGenerator(bytes);
                json.writeStartArray();
            } catch (IOException error) {
                throw inMemory(error);
            }
        }

        /** Adds a row and returns the size so far. */
        long add(Container container, String name, Object[] row) {
            try {
                if (!name.equals(current)) {
                    begin(container, name);
                }
                cells.write(row);
            } catch (JsonGenerationException error) {
                throw WriteException.refused(
                        "A row for container '" + name + "' cannot be written: " + error.getOriginalMessage() + ".",
                        error);
            } catch (IOException error) {
                throw inMemory(error);
            }
            rows.get(name).add(row);
            values += (long) VALUE_BYTES * row.length;
            return Math.max(values, bytes.size() + json.getOutputBuffered());
        }

        private void begin(Container container, String name) throws IOException {
            end();
            json.writeStartObject();
            json.writeStringField("containerName", name);
            json.writeArrayFieldStart("rows");
            rows.put(name, new ArrayList<>());
            cells = new Cells(container, json);
            current = name;
        }

        private void end() throws IOException {
            if (current != null) {
                json.writeEndArray();
                json.writeEndObject();
            }
        }

        Put closed() {
            try {
                end();
                json.writeEndArray();
                json.close();
            } catch (IOException error) {
                throw inMemory(error);
            }
            return new Put(bytes.toByteArray(), rows);
        }

        private static AssertionError inMemory(IOException error) {
            return new AssertionError("memory can be written", error);
        }
    }
}
