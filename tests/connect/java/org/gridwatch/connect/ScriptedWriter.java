package org.gridwatch.connect;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerWriter;
import org.gridwatch.connect.writer.WriteException;

/** A writer that fails when it is told to, refuses rows whose last value is -1, and tells what it was asked. */
final class ScriptedWriter implements ContainerWriter {
    private static final ObjectMapper JSON = new ObjectMapper();

    final Map<String, Container> containers = new HashMap<>();
    final List<String> script = new ArrayList<>();
    ArrayNode calls = JSON.createArrayNode();
    boolean closed;

    private void next(String call, JsonNode what) {
        calls.addArray().add(call).add(what);
        String outcome = script.isEmpty() ? "ok" : script.remove(0);
        switch (outcome) {
            case "retriable" -> throw WriteException.retriable("the server is away", null);
            case "fatal" -> throw WriteException.fatal("the login is refused", null);
            case "refused" -> throw WriteException.refused("the rows are refused", null);
            case "widened" -> {
                widen();
                throw WriteException.refused("the schema is another", null);
            }
            default -> { }
        }
    }

    /** As another task might, just now. */
    private void widen() {
        containers.replaceAll((name, old) -> {
            List<Column> columns = new ArrayList<>(old.columns());
            columns.add(1, new Column("new", ColumnType.LONG, true));
            return new Container(old.name(), old.kind(), columns, old.rowKey());
        });
    }

    @Override
    public Optional<Container> container(String name) {
        next("look", JSON.valueToTree(name));
        return Optional.ofNullable(containers.get(name.toLowerCase(Locale.ROOT)));
    }

    @Override
    public void create(Container container) {
        next("create", JSON.valueToTree(container.name()));
        containers.putIfAbsent(container.name().toLowerCase(Locale.ROOT), container);
    }

    @Override
    public void addColumns(String name, List<Column> added) {
        next("add", JSON.valueToTree(added.stream().map(Column::name).toList()));
        Container old = containers.get(name.toLowerCase(Locale.ROOT));
        List<Column> columns = new ArrayList<>(old.columns());
        columns.addAll(added);
        containers.put(name.toLowerCase(Locale.ROOT), new Container(old.name(), old.kind(), columns, old.rowKey()));
    }

    @Override
    public void put(Map<String, List<Object[]>> rows) {
        Map<String, List<List<String>>> told = new HashMap<>();
        rows.forEach((name, own) -> told.put(name, texts(own)));
        next("put", JSON.valueToTree(told));
        for (List<Object[]> own : rows.values()) {
            for (Object[] row : own) {
                if (Long.valueOf(-1).equals(row[row.length - 1])) {
                    throw WriteException.refused("-1 is refused", null);
                }
            }
        }
    }

    @Override
    public void delete(String name, List<Object[]> keys) {
        next("delete", JSON.valueToTree(texts(keys)));
    }

    private static List<List<String>> texts(List<Object[]> rows) {
        return rows.stream().map(row -> java.util.Arrays.stream(row).map(String::valueOf).toList()).toList();
    }

    @Override
    public void close() {
        closed = true;
    }
}
