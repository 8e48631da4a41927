package gridwatch.griddb;

/** Types of columns, by the numbers that the Python side knows them by, with Arrow's layout of their values. */
final class Kind {
    /** Bits, the first row in the lowest bit of the first byte. */
    static final int BOOL = 0;
    /** UTF-8 bytes and count + 1 offsets. */
    static final int STRING = 1;
    static final int BYTE = 2;
    static final int SHORT = 3;
    static final int INTEGER = 4;
    static final int LONG = 5;
    static final int FLOAT = 6;
    static final int DOUBLE = 7;
    /** long, ms since 1970 in UTC. */
    static final int TIMESTAMP = 8;
    /** Bytes and count + 1 offsets. */
    static final int BLOB = 9;
    /** long, microseconds. */
    static final int MICROS = 10;
    /** long, nanoseconds. */
    static final int NANOS = 11;
    /** No values, only nulls: what SQL calls UNKNOWN. */
    static final int NONE = 12;

    private Kind() {}

    static boolean bit(byte[] bits, int row) {
        return (bits[row >> 3] >> (row & 7) & 1) != 0;
    }
}
