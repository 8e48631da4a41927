package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** SQL over the Web API. */
final class Statements {
    /** The newer endpoints refuse a line's end inside a statement, which a key's text may hold. */
    private static final Pattern LINE_END = Pattern.compile("[\\n\\r\\x85\\u2028\\u2029]");

    private final WebApiClient api;

    Statements(WebApiClient api) {
        this.api = api;
    }

    /** Runs queries and returns their answers, each with {@code columns} and {@code results}. */
    List<JsonNode> ask(String... queries) {
        JsonNode answers = send("sql/dml/query", true, queries);
        List<JsonNode> found = new ArrayList<>();
        for (JsonNode one : answers) {
            if (!one.path("results").isArray()) {
                throw api.refusals().noApi("it answers a query without results");
            }
            found.add(one);
        }
        if (found.size() != queries.length) {
            throw api.refusals().noApi("it answers " + found.size() + " of " + queries.length + " queries");
        }
        return found;
    }

    /** Runs one CREATE or ALTER. */
    void define(String statement) {
        check(send("sql/ddl", false, statement));
    }

    /** Runs one DELETE. */
    void change(String statement) {
        String endpoint = LINE_END.matcher(statement).find() ? "sql/update" : "sql/dml/update";
        check(send(endpoint, true, statement));
    }

    private JsonNode send(String endpoint, boolean repeatable, String... statements) {
        ArrayNode body = api.json().createArrayNode();
        for (String statement : statements) {
            body.addObject().put("stmt", statement);
        }
        return api.call("POST", endpoint, bytes(body), repeatable);
    }

    /** A statement that failed comes in an answer of HTTP 200. */
    private void check(JsonNode answers) {
        JsonNode answer = answers.path(0);
        if (!answer.has("status")) {
            throw api.refusals().noApi("it answers a statement without a status");
        }
        if (answer.get("status").asInt() != 1) {
            throw api.refusals().ofStatement(answer.path("message").asText(""));
        }
    }

    static byte[] bytes(JsonNode body) {
        return body.toString().getBytes(StandardCharsets.UTF_8);
    }
}
