package org.gridwatch.connect.writer;

import java.util.Objects;

/** GridDB did not do what it was asked; the message is for people and holds no password. */
public final class WriteException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What can be done about it. */
    public enum Kind {
        /** Nothing is wrong with the rows: the server is away, busy or moving. The same again may do. */
        RETRIABLE,
        /** Something in these rows or this schema is refused, and would be again. */
        REFUSED,
        /** Login or configuration: nothing will be written until somebody changes that. */
        FATAL
    }

    private final Kind kind;

    public WriteException(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = Objects.requireNonNull(kind, "kind");
    }

    public WriteException(Kind kind, String message) {
        this(kind, message, null);
    }

    public Kind kind() {
        return kind;
    }

    public static WriteException retriable(String message, Throwable cause) {
        return new WriteException(Kind.RETRIABLE, message, cause);
    }

    public static WriteException refused(String message, Throwable cause) {
        return new WriteException(Kind.REFUSED, message, cause);
    }

    public static WriteException fatal(String message, Throwable cause) {
        return new WriteException(Kind.FATAL, message, cause);
    }
}
