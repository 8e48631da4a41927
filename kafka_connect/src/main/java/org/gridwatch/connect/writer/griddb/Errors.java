package org.gridwatch.connect.writer.griddb;

import com.toshiba.mwcloud.gs.GSException;
import com.toshiba.mwcloud.gs.GSTimeoutException;
import java.sql.SQLException;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.gridwatch.connect.writer.WriteException;

/** What GridDB's clients throw, told apart by GridDB's error numbers. */
final class Errors {
    private static final Set<Integer> LOGIN = Set.of(10005, 10053, 10100, 10102);
    /** A user who may only read: every row would be refused, and none of them is bad. */
    private static final int NO_RIGHT = 10099;
    /** A value, a name or a schema that is refused, and would be again. */
    private static final Set<Integer> REFUSED = Set.of(
            1007, 1008, 10016, 60015, 60016, 60026, 60049, 60079, 60146, 60149, 60154, 60165,
            145001, 145002, 145003, 145004, 145006, 145007, 145008, 145009, 145010, 145022, 145023, 145024, 145025,
            145026, 280003, 280005, 280008, 280012, 280013, 280023, 305004, 305005, 305010);
    private static final Pattern HEAD = Pattern.compile("^\\[(?:Code:)?(\\d+)(?::[A-Z0-9_]+)?]\\s*");
    private static final Pattern TAIL = Pattern.compile(
            "\\s+(?:on (?:preparing|executing) \\w+ \\(|\\((?:address|db|user|sql|source)=).*", Pattern.DOTALL);
    private static final int SHOWN_MAX = 500;

    private Errors() {}

    /**
     * Returns an error of one of the clients as the writer's.
     *
     * @param what was tried, such as {@code Container 'x'}
     * @param place of the cluster
     */
    static WriteException of(Exception error, String what, String place) {
        if (error instanceof WriteException known) {
            return known;
        }
        String message = String.valueOf(error.getMessage());
        int code = code(error, message);
        String text = told(message);
        if (LOGIN.contains(code)) {
            String said = text.isEmpty() || text.startsWith("(") ? "" : " (" + text + ")";
            return WriteException.fatal("GridDB at " + place + " refuses the login" + said
                    + "; check connection.user, connection.password, and cluster and database in connection.url",
                    error);
        }
        if (code == NO_RIGHT) {
            return WriteException.fatal("GridDB at " + place + " lets this user only read", error);
        }
        // A value that the client itself could not take comes without a number.
        boolean value = error instanceof IllegalArgumentException || error instanceof ClassCastException;
        if (REFUSED.contains(code) || value) {
            return WriteException.refused(what + ": " + (code > 0 ? "[" + code + "] " : "") + text, error);
        }
        String how = error instanceof GSTimeoutException ? " took too long: " : " does not answer: ";
        return WriteException.retriable("GridDB at " + place + how + (code > 0 ? "[" + code + "] " : "") + text, error);
    }

    /** Returns an error of opening a connection: of the login, or one that may pass. */
    static WriteException ofConnecting(Exception error, String place) {
        WriteException told = of(error, "GridDB at " + place, place);
        return told.kind() == WriteException.Kind.REFUSED ? WriteException.retriable(told.getMessage(), error) : told;
    }

    static int code(Exception error, String message) {
        int found = error instanceof GSException own ? own.getErrorCode()
                : error instanceof SQLException sql ? sql.getErrorCode() : 0;
        if (found > 0) {
            return found;
        }
        Matcher head = HEAD.matcher(message);
        return head.find() ? Integer.parseInt(head.group(1)) : 0;
    }

    /** Returns what a message tells people, without its number and what follows about the connection. */
    static String told(String message) {
        String text = TAIL.matcher(HEAD.matcher(message).replaceFirst("")).replaceFirst("").strip();
        return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX);
    }
}
