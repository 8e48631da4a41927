package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.gridwatch.connect.writer.WriteException.Kind;

/** What the Web API's refusals mean: whether to try again, to look for bad rows, or to stop. */
final class Refusals {
    private static final Set<Integer> LOGIN = Set.of(10005, 10053, 10100, 10102);

    /** A user who may only read: every row would be refused, and none of them is bad. */
    private static final Set<Integer> NO_RIGHT = Set.of(10099);

    /** Of the numbers below 60000, which are the cluster's and its transactions', those that are about a request. */
    private static final Set<Integer> ABOUT_REQUEST = Set.of(1007, 1008, 10016, 10018);

    /** Of those from 60000 on, which are about rows and schemas, what passes: rows and schemas that are locked. */
    private static final Set<Integer> LOCKED = Set.of(60012, 60054, 60064, 60085, 60166);

    /** Of GridDB's own client inside the Web API, what is wrong with the connection rather than with a value. */
    private static final Set<Integer> CONNECTION =
            Set.of(145000, 145028, 145029, 145030, 145031, 145032, 145033, 145041, 145042, 145043);

    /** Of the numbers of the SQL service and its jobs, what is about a statement. */
    private static final Set<Integer> ABOUT_STATEMENT = Set.of(
            200009, 200010, 200014, 200018, 200021, 200023, 200024, 200026, 200028, 200034, 250011, 250015, 250016);

    /** Of those about tables, what passes: a node is away, another change is under way, or the table is another now. */
    private static final Set<Integer> SQL_PASSING =
            Set.of(270004, 270005, 270007, 280017, 280021, 280027, 280028, 280030, 280031);

    private static final Set<Integer> BUSY = Set.of(408, 425, 429, 502, 503, 504);

    /** The API has no number for what is over its limits. */
    private static final List<String> OVER_LIMIT = List.of(
            "Too many result", "Too many rows data", "is too large", "too many rows", "exceeds the limit");

    // `[60079:DS_DS_...] text on executing query (sql="...") ...`; what follows the text is not for people.
    private static final Pattern HEAD = Pattern.compile("\\[(?:Code:)?(\\d+)(?::[A-Z0-9_]+)?]\\s*");
    private static final Pattern TAIL = Pattern.compile(
            "(?:^|\\s+)(?:on (?:preparing|executing) \\w+ \\(|\\((?:address|db|user|sql|source)=).*", Pattern.DOTALL);
    private static final int SHOWN = 500;

    private final WebApiUrl url;
    private final boolean hasLogin;
    private final ObjectMapper json;

    Refusals(WebApiUrl url, boolean hasLogin, ObjectMapper json) {
        this.url = url;
        this.hasLogin = hasLogin;
        this.json = json;
    }

    /** Returns what an answer with a status of 300 or more means. */
    ApiFailure of(int status, String location, byte[] body) {
        JsonNode told = read(body);
        String message = told.path("errorMessage").asText("");
        int code = told.path("errorCode").asInt(0) > 0 ? told.path("errorCode").asInt() : code(message);
        String place = "The GridDB Web API at " + url.place();
        if (status == 413 || OVER_LIMIT.stream().anyMatch(message::contains)) {
            return failure(Kind.REFUSED, 413, code, place + " refuses a request of this size" + said(message));
        }
        if (BUSY.contains(status) || isPassing(code)) {
            return failure(Kind.RETRIABLE, status, code, place + " is busy (HTTP " + status + ")" + said(message));
        }
        if (status == 401 || LOGIN.contains(code)) {
            String hint = hasLogin
                    ? "check connection.user and connection.password, and the database's name"
                    : "it wants a login: set connection.user and connection.password";
            return failure(Kind.FATAL, status, code, place + " refuses the login" + said(message) + "; " + hint);
        }
        if (NO_RIGHT.contains(code)) {
            return failure(Kind.FATAL, status, code, place + " lets this user only read" + said(message));
        }
        if (status < 400) {
            return noApi("it answers with a redirect to " + location);
        }
        if (message.contains("Cluster not found") || message.contains("Repository is invalid")) {
            return failure(Kind.FATAL, status, code, place + " knows no cluster '" + url.cluster() + "'; correct "
                    + "connection.url");
        }
        if (status >= 500 && code == 0) {
            return failure(Kind.RETRIABLE, status, code, place + " failed (HTTP " + status + ")" + said(message));
        }
        return ofRequest(status, code, message);
    }

    private ApiFailure ofRequest(int status, int code, String message) {
        if (message.isEmpty()) {
            return noApi("it answers HTTP " + status + " to " + url.path());
        }
        // Forbidden, wrong method or host or content type: nothing about the rows.
        boolean aboutRows = status == 400 || status == 404 || status == 409 || status >= 500;
        return failure(aboutRows ? Kind.REFUSED : Kind.FATAL, status, code, "GridDB: " + told(message));
    }

    /**
     * Tells whether a number means "not now", whatever the status: the cluster starts, moves or is away, takes too long
     * or is short of memory, or the container was changed since it was looked up. When in doubt so: a batch that is
     * tried again loses nothing, while rows that are called bad are set aside.
     */
    private static boolean isPassing(int code) {
        if (code == 0 || LOGIN.contains(code) || NO_RIGHT.contains(code)) {
            return false;
        }
        if (code < 60_000) {
            return !ABOUT_REQUEST.contains(code);
        }
        if (code >= 200_000) {
            return isPassingOfSql(code);
        }
        // From 80000 on: log, partitions, chunks, event engine; from 160000 on: recovery and cluster.
        boolean machinery = code >= 80_000 && code < 145_000 || code >= 160_000;
        return machinery || LOCKED.contains(code) || CONNECTION.contains(code);
    }

    /** The SQL service's own state, its jobs on the nodes and what it remembers of tables, rather than a statement. */
    private static boolean isPassingOfSql(int code) {
        boolean service = code < 240_000 && !ABOUT_STATEMENT.contains(code);
        boolean jobs = code >= 250_000 && code < 270_000 && !ABOUT_STATEMENT.contains(code);
        boolean nodes = code >= 420_000 && code < 430_000;
        return service || jobs || nodes || SQL_PASSING.contains(code);
    }

    /** Returns what the answer to a statement means that failed inside an answer of HTTP 200. */
    ApiFailure ofStatement(String message) {
        int code = code(message);
        String text = "GridDB: " + (message.isEmpty() ? "the statement failed" : told(message));
        if (LOGIN.contains(code) || NO_RIGHT.contains(code)) {
            return failure(Kind.FATAL, 200, code, text);
        }
        return failure(isPassing(code) ? Kind.RETRIABLE : Kind.REFUSED, 200, code, text);
    }

    /** Returns the failure of an answer that no Web API gives. */
    ApiFailure noApi(String why) {
        return failure(Kind.FATAL, 0, 0, "What answers at " + url.place() + " is no GridDB Web API: " + why
                + "; correct connection.url");
    }

    private JsonNode read(byte[] body) {
        try {
            return json.readTree(body);
        } catch (JsonProcessingException error) {
            // A proxy's page; the status tells what there is to tell.
            return json.missingNode();
        } catch (IOException error) {
            throw new AssertionError("bytes in memory can be read", error);
        }
    }

    private static ApiFailure failure(Kind kind, int status, int code, String message) {
        return new ApiFailure(kind, status, code, message + ".", null);
    }

    private static String said(String message) {
        String text = told(message);
        return text.isEmpty() ? "" : " (" + text + ")";
    }

    /** Returns the number that a message of GridDB begins with, or 0. */
    static int code(String message) {
        Matcher head = HEAD.matcher(message);
        return head.lookingAt() && head.group(1).length() < 10 ? Integer.parseInt(head.group(1)) : 0;
    }

    /** Returns what a message of GridDB tells people. */
    static String told(String message) {
        String text = TAIL.matcher(HEAD.matcher(message).replaceFirst("")).replaceFirst("").strip();
        text = text.length() > SHOWN ? text.substring(0, SHOWN) : text;
        return text.endsWith(".") ? text.substring(0, text.length() - 1) : text;
    }
}
