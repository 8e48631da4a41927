package org.gridwatch.connect.writer.webapi;

import org.gridwatch.connect.writer.WriteException;

/** A refusal of the Web API with what this package needs to know of it; never leaves the package. */
final class ApiFailure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** GridDB's number for a table that is not there, and the Web API's own. */
    static final int NO_TABLE = 280005;

    private final WriteException.Kind kind;
    private final int code;
    private final int status;

    /**
     * Keeps a refusal.
     *
     * @param kind what can be done about it
     * @param status of HTTP, 0 when there was no answer
     * @param code GridDB's error number, 0 when there is none
     */
    ApiFailure(WriteException.Kind kind, int status, int code, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
        this.status = status;
        this.code = code;
    }

    /** Returns GridDB's error number, 0 when there is none. */
    int code() {
        return code;
    }

    /** Tells whether less at once may do. */
    boolean isTooLarge() {
        return status == 413;
    }

    /** Tells whether a container is not there. */
    boolean isMissing() {
        return status == 404 || code == NO_TABLE || code == 10016;
    }

    /** Tells whether a container, or a view, of that name is there already. */
    boolean isConflict() {
        return status == 409 || code == 280003 || code == 280008 || code == 60016 || code == 60026;
    }

    WriteException told() {
        return new WriteException(kind, getMessage(), getCause());
    }
}
