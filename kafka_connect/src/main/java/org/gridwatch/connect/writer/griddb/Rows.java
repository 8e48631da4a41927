package org.gridwatch.connect.writer.griddb;

import com.toshiba.mwcloud.gs.GSException;
import com.toshiba.mwcloud.gs.Geometry;
import com.toshiba.mwcloud.gs.Row;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.Date;
import javax.sql.rowset.serial.SerialBlob;
import org.gridwatch.connect.writer.ColumnType;

/** Values into rows of GridDB's native client. */
final class Rows {
    private Rows() {}

    static void set(Row row, int at, ColumnType type, Object value) throws GSException {
        if (value == null) {
            row.setNull(at);
            return;
        }
        switch (type) {
            case BOOL -> row.setBool(at, (Boolean) value);
            case STRING -> row.setString(at, (String) value);
            case BYTE -> row.setByte(at, (Byte) value);
            case SHORT -> row.setShort(at, (Short) value);
            case INTEGER -> row.setInteger(at, (Integer) value);
            case LONG -> row.setLong(at, (Long) value);
            case FLOAT -> row.setFloat(at, (Float) value);
            case DOUBLE -> row.setDouble(at, (Double) value);
            case TIMESTAMP -> row.setTimestamp(at, Date.from((Instant) value));
            case TIMESTAMP_MICRO, TIMESTAMP_NANO -> row.setPreciseTimestamp(at, Timestamp.from((Instant) value));
            case GEOMETRY -> row.setGeometry(at, Geometry.valueOf((String) value));
            case BLOB -> row.setBlob(at, blob((byte[]) value));
            default -> setArray(row, at, type, value);
        }
    }

    private static void setArray(Row row, int at, ColumnType type, Object value) throws GSException {
        switch (type) {
            case BOOL_ARRAY -> row.setBoolArray(at, (boolean[]) value);
            case STRING_ARRAY -> row.setStringArray(at, (String[]) value);
            case BYTE_ARRAY -> row.setByteArray(at, (byte[]) value);
            case SHORT_ARRAY -> row.setShortArray(at, (short[]) value);
            case INTEGER_ARRAY -> row.setIntegerArray(at, (int[]) value);
            case LONG_ARRAY -> row.setLongArray(at, (long[]) value);
            case FLOAT_ARRAY -> row.setFloatArray(at, (float[]) value);
            case DOUBLE_ARRAY -> row.setDoubleArray(at, (double[]) value);
            case TIMESTAMP_ARRAY -> row.setTimestampArray(
                    at, Arrays.stream((Instant[]) value).map(Date::from).toArray(Date[]::new));
            default -> throw new IllegalArgumentException("no column is " + type);
        }
    }

    private static SerialBlob blob(byte[] bytes) throws GSException {
        try {
            return new SerialBlob(bytes);
        } catch (java.sql.SQLException error) {
            throw new GSException("a BLOB of " + bytes.length + " bytes cannot be made", error);
        }
    }
}
