package org.gridwatch.connect.writer;

/**
 * The types of GridDB's columns, each with the Java type that its values have in a row.
 *
 * <p>The three times differ by what they keep of a second: three, six or nine decimals.
 */
public enum ColumnType {
    BOOL(Boolean.class),
    STRING(String.class),
    BYTE(Byte.class),
    SHORT(Short.class),
    INTEGER(Integer.class),
    LONG(Long.class),
    FLOAT(Float.class),
    DOUBLE(Double.class),
    TIMESTAMP(java.time.Instant.class),
    TIMESTAMP_MICRO(java.time.Instant.class),
    TIMESTAMP_NANO(java.time.Instant.class),
    /** Well-known text such as {@code POINT(1 2)}. */
    GEOMETRY(String.class),
    BLOB(byte[].class),
    BOOL_ARRAY(boolean[].class),
    STRING_ARRAY(String[].class),
    BYTE_ARRAY(byte[].class),
    SHORT_ARRAY(short[].class),
    INTEGER_ARRAY(int[].class),
    LONG_ARRAY(long[].class),
    FLOAT_ARRAY(float[].class),
    DOUBLE_ARRAY(double[].class),
    TIMESTAMP_ARRAY(java.time.Instant[].class);

    private static final String ARRAY = "_ARRAY";

    private final Class<?> javaType;

    ColumnType(Class<?> javaType) {
        this.javaType = javaType;
    }

    /** Returns the class that every value of such a column has in a row. */
    public Class<?> javaType() {
        return javaType;
    }

    /** Tells whether a column holds several values of one type in each row. */
    public boolean isArray() {
        return name().endsWith(ARRAY);
    }

    /** Returns the type of an array's elements. */
    public ColumnType element() {
        if (!isArray()) {
            throw new IllegalStateException(this + " is no array");
        }
        return valueOf(name().substring(0, name().length() - ARRAY.length()));
    }

    /** Tells whether a column is a time of any precision. */
    public boolean isTime() {
        return this == TIMESTAMP || this == TIMESTAMP_MICRO || this == TIMESTAMP_NANO;
    }

    /** Tells whether values have different lengths, so that GridDB keeps them beside the row. */
    public boolean isVariable() {
        return this == STRING || this == GEOMETRY || this == BLOB || isArray();
    }

    /** Returns the type's name as GridDB's SQL writes it, such as {@code TIMESTAMP(6)}. */
    public String sqlName() {
        return switch (this) {
            case TIMESTAMP_MICRO -> "TIMESTAMP(6)";
            case TIMESTAMP_NANO -> "TIMESTAMP(9)";
            default -> name();
        };
    }
}
