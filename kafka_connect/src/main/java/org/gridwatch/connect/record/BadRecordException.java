package org.gridwatch.connect.record;

import org.apache.kafka.connect.errors.DataException;

/** A record cannot become a row; the message is the reason as a person would write it. */
public final class BadRecordException extends DataException {
    private static final long serialVersionUID = 1L;

    public BadRecordException(String reason) {
        super(reason);
    }

    public BadRecordException(String reason, Throwable cause) {
        super(reason, cause);
    }

    /** The place in the code says nothing to people, and bad records may be many. */
    @Override
    public Throwable fillInStackTrace() {
        return this;
    }
}
