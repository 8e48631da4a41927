package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;
import org.gridwatch.connect.writer.WriteException;

/**
 * Containers' schemas over the Web API.
 *
 * <p>Its own {@code info} tells neither which columns may be null nor the columns of a key, and fails where a key has
 * several; so they are read from GridDB's meta tables.
 */
final class Schemas {
    private final WebApiClient api;
    private final Statements statements;

    Schemas(WebApiClient api, Statements statements) {
        this.api = api;
        this.statements = statements;
    }

    /** Looks a container up by its name in any case. */
    Optional<Container> find(String name) {
        Optional<Container> exact = exact(name);
        if (exact.isPresent()) {
            return exact;
        }
        return storedName(name).filter(stored -> !stored.equals(name)).flatMap(this::exact);
    }

    /** Quoted names are compared with their case in SQL; everywhere else GridDB passes over it. */
    private Optional<String> storedName(String name) {
        JsonNode rows = statements
                .ask("SELECT TABLE_NAME FROM \"#tables\" WHERE UPPER(TABLE_NAME) = "
                        + Sql.text(name.toUpperCase(Locale.ROOT)))
                .get(0)
                .path("results");
        return rows.isEmpty() ? Optional.empty() : Optional.of(rows.get(0).get(0).asText());
    }

    private Optional<Container> exact(String name) {
        String where = " WHERE DATABASE_NAME = " + Sql.text(api.url().database()) + " AND TABLE_NAME = "
                + Sql.text(name);
        List<JsonNode> answers;
        try {
            answers = statements.ask(
                    "SELECT * FROM " + Sql.name(name) + " LIMIT 0",
                    "SELECT COLUMN_NAME, TYPE_NAME, NULLABLE FROM \"#columns\"" + where + " ORDER BY ORDINAL_POSITION",
                    "SELECT COLUMN_NAME FROM \"#primary_keys\"" + where + " ORDER BY KEY_SEQ",
                    "SELECT TABLE_OPTIONAL_TYPE FROM \"#tables\"" + where);
        } catch (ApiFailure failure) {
            if (failure.isMissing()) {
                return Optional.empty();
            }
            throw failure;
        }
        JsonNode table = answers.get(3).path("results");
        if (table.isEmpty()) {
            // A view answers to the first statement, and is no container.
            return Optional.empty();
        }
        List<String> key = new ArrayList<>();
        answers.get(2).path("results").forEach(row -> key.add(row.get(0).asText()));
        boolean series = table.get(0).get(0).asText().replace("_", "").equals("TIMESERIES");
        ContainerKind kind = series ? ContainerKind.TIME_SERIES : ContainerKind.COLLECTION;
        return Optional.of(new Container(name, kind, columns(name, answers), key));
    }

    private static List<Column> columns(String container, List<JsonNode> answers) {
        // The meta table does not tell TIMESTAMP(6) from TIMESTAMP; the answer's own columns do.
        Map<String, ColumnType> finer = new HashMap<>();
        for (JsonNode column : answers.get(0).path("columns")) {
            switch (column.path("timePrecision").asText("")) {
                case "MICROSECOND" -> finer.put(column.path("name").asText(), ColumnType.TIMESTAMP_MICRO);
                case "NANOSECOND" -> finer.put(column.path("name").asText(), ColumnType.TIMESTAMP_NANO);
                default -> { }
            }
        }
        List<Column> columns = new ArrayList<>();
        for (JsonNode row : answers.get(1).path("results")) {
            String name = row.get(0).asText();
            ColumnType type = finer.containsKey(name) ? finer.get(name) : type(container, row.get(1).asText());
            columns.add(new Column(name, type, row.get(2).asBoolean()));
        }
        return columns;
    }

    private static ColumnType type(String container, String word) {
        for (ColumnType type : ColumnType.values()) {
            if (type.sqlName().equals(word)) {
                return type;
            }
        }
        throw WriteException.refused(
                "Container '" + container + "' has a column of the type " + word + ", which is not known here.", null);
    }

    /** Makes a container; one of this name that is there already stays as it is. */
    void create(Container container) {
        try {
            if (Sql.knows(container)) {
                statements.define(Sql.createTable(container));
            } else {
                createNatively(container);
            }
        } catch (ApiFailure failure) {
            if (!failure.isConflict()) {
                throw failure;
            }
            if (find(container.name()).isEmpty()) {
                throw WriteException.refused("'" + container.name() + "' is the name of a view, so no container can "
                        + "have it.", failure);
            }
        }
    }

    /** SQL has neither arrays nor geometry; the API's own call has them, and neither partitions nor NOT NULL. */
    private void createNatively(Container container) {
        boolean strict = container.columns().stream()
                .anyMatch(one -> !one.nullable() && !container.rowKey().contains(one.name()));
        if (strict || container.rowKey().size() > 1 || container.partitioning() != null) {
            throw WriteException.refused(
                    "Container '" + container.name() + "' has arrays or geometry, so the Web API can give it neither "
                            + "partitions, nor a key of several columns, nor NOT NULL; make it through griddb://.",
                    null);
        }
        ObjectNode body = api.json().createObjectNode();
        body.put("container_name", container.name());
        body.put("container_type", container.kind().name());
        body.put("rowkey", !container.rowKey().isEmpty());
        ArrayNode columns = body.putArray("columns");
        for (Column column : container.columns()) {
            ObjectNode one = columns.addObject();
            one.put("name", column.name()).put("type", column.type().isTime() ? "TIMESTAMP" : column.type().name());
            switch (column.type()) {
                case TIMESTAMP_MICRO -> one.put("timePrecision", "MICROSECOND");
                case TIMESTAMP_NANO -> one.put("timePrecision", "NANOSECOND");
                default -> { }
            }
        }
        api.call("POST", "containers", Statements.bytes(body), false);
    }

    /** Adds columns; one that is there already stays as it is. */
    void addColumns(String container, List<Column> added) {
        for (Column column : added) {
            if (!Sql.knows(column.type())) {
                throw WriteException.refused(
                        "The Web API cannot add the column '" + column.name() + "' of the type "
                                + column.type().sqlName() + " to container '" + container + "'; use griddb://.",
                        null);
            }
            try {
                statements.define(Sql.addColumn(container, column));
            } catch (ApiFailure failure) {
                // GridDB has several numbers for this; what counts is whether the column is there.
                boolean there = find(container).flatMap(found -> found.column(column.name())).isPresent();
                if (!there) {
                    throw failure;
                }
            }
        }
    }
}
