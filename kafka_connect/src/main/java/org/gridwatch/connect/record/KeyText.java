package org.gridwatch.connect.record;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.gridwatch.connect.writer.ColumnType;

/** Records' keys that came as text. */
final class KeyText {
    private static final Pattern WHOLE = Pattern.compile("-?\\d{1,18}");

    private KeyText() {}

    /** Returns a whole number where the column takes one and the text is one; the text itself otherwise. */
    static Object value(ColumnType type, String text) {
        boolean number = type == ColumnType.LONG || type == ColumnType.INTEGER || type.isTime();
        return number && WHOLE.matcher(text).matches() ? (Object) Long.valueOf(text) : text;
    }

    /**
     * Reads a JSON list of strings and whole numbers.
     *
     * @param names of the key's columns, for the message
     * @throws BadRecordException it is none
     */
    static List<Object> list(String text, List<String> names) {
        Reader reader = new Reader(text);
        List<Object> found = reader.list();
        if (found == null) {
            throw new BadRecordException("the record's key is " + Shown.value(text) + ", not a JSON list of "
                    + String.join(", ", names));
        }
        return found;
    }

    /** A list is all that is read here; a JSON library of its own would be one more jar in every plugin folder. */
    private static final class Reader {
        private final String text;
        private int at;

        Reader(String text) {
            this.text = text;
        }

        /** Returns the list, or null. */
        List<Object> list() {
            List<Object> found = new ArrayList<>();
            if (!take('[')) {
                return null;
            }
            do {
                Object value = value();
                if (value == null) {
                    return null;
                }
                found.add(value);
            } while (take(','));
            return take(']') && rest() ? found : null;
        }

        private Object value() {
            blanks();
            if (at < text.length() && text.charAt(at) == '"') {
                at++;
                return string();
            }
            int start = at;
            while (at < text.length() && "-0123456789".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            String digits = text.substring(start, at);
            return WHOLE.matcher(digits).matches() ? Long.valueOf(digits) : null;
        }

        private String string() {
            StringBuilder found = new StringBuilder();
            while (at < text.length()) {
                char next = text.charAt(at++);
                if (next == '"') {
                    return found.toString();
                }
                if (next != '\\') {
                    found.append(next);
                } else if (!escape(found)) {
                    return null;
                }
            }
            return null;
        }

        private boolean escape(StringBuilder found) {
            if (at >= text.length()) {
                return false;
            }
            char letter = text.charAt(at++);
            int known = "\"\\/bfnrt".indexOf(letter);
            if (known >= 0) {
                found.append("\"\\/\b\f\n\r\t".charAt(known));
                return true;
            }
            if (letter != 'u' || at + 4 > text.length()) {
                return false;
            }
            String digits = text.substring(at, at + 4);
            at += 4;
            if (!digits.matches("[0-9A-Fa-f]{4}")) {
                return false;
            }
            found.append((char) Integer.parseInt(digits, 16));
            return true;
        }

        private boolean take(char wanted) {
            blanks();
            boolean found = at < text.length() && text.charAt(at) == wanted;
            at += found ? 1 : 0;
            return found;
        }

        private boolean rest() {
            blanks();
            return at == text.length();
        }

        private void blanks() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }
    }
}
