package gridwatch.griddb;

import com.toshiba.mwcloud.gs.Row;
import java.nio.charset.StandardCharsets;
import java.sql.Blob;
import java.sql.ResultSet;
import java.sql.Timestamp;
import java.util.Arrays;

/** One column on its way out of GridDB, grown row by row into Arrow's layout. */
final class ColumnOut {
    private final int kind;
    /** Field of the row, from 0. */
    private final int field;
    private int size = 1024;
    private Object data;
    private int[] offsets;
    private byte[] valid;
    private int nulls;
    private int bytes;

    ColumnOut(int kind, int field) {
        this.kind = kind;
        this.field = field;
        clear();
    }

    void clear() {
        nulls = 0;
        bytes = 0;
        valid = new byte[size + 7 >> 3];
        offsets = kind == Kind.STRING || kind == Kind.BLOB ? new int[size + 1] : null;
        switch (kind) {
            case Kind.BOOL: data = new byte[size + 7 >> 3]; break;
            case Kind.STRING: case Kind.BLOB: data = new byte[size * 8]; break;
            case Kind.BYTE: data = new byte[size]; break;
            case Kind.SHORT: data = new short[size]; break;
            case Kind.INTEGER: data = new int[size]; break;
            case Kind.FLOAT: data = new float[size]; break;
            case Kind.DOUBLE: data = new double[size]; break;
            case Kind.NONE: data = null; break;
            default: data = new long[size];
        }
    }

    /** Bytes of text or blobs so far. */
    int bytes() {
        return bytes;
    }

    void add(Row row, int at) throws Exception {
        reserve(at);
        if (kind == Kind.NONE || row.isNull(field)) {
            skip(at);
            return;
        }
        switch (kind) {
            case Kind.BOOL: if (row.getBool(field)) mark((byte[]) data, at); break;
            case Kind.STRING: append(row.getString(field).getBytes(StandardCharsets.UTF_8), at); break;
            case Kind.BYTE: ((byte[]) data)[at] = row.getByte(field); break;
            case Kind.SHORT: ((short[]) data)[at] = row.getShort(field); break;
            case Kind.INTEGER: ((int[]) data)[at] = row.getInteger(field); break;
            case Kind.LONG: ((long[]) data)[at] = row.getLong(field); break;
            case Kind.FLOAT: ((float[]) data)[at] = row.getFloat(field); break;
            case Kind.DOUBLE: ((double[]) data)[at] = row.getDouble(field); break;
            case Kind.TIMESTAMP: ((long[]) data)[at] = row.getTimestamp(field).getTime(); break;
            case Kind.MICROS: case Kind.NANOS: ((long[]) data)[at] = precise(row.getPreciseTimestamp(field)); break;
            default: append(content(row.getBlob(field)), at);
        }
        mark(valid, at);
    }

    void add(ResultSet row, int at) throws Exception {
        reserve(at);
        int column = field + 1;
        switch (kind) {
            case Kind.BOOL: if (row.getBoolean(column)) mark((byte[]) data, at); break;
            case Kind.STRING: {
                String text = row.getString(column);
                if (text != null) append(text.getBytes(StandardCharsets.UTF_8), at);
                break;
            }
            case Kind.BYTE: ((byte[]) data)[at] = row.getByte(column); break;
            case Kind.SHORT: ((short[]) data)[at] = row.getShort(column); break;
            case Kind.INTEGER: ((int[]) data)[at] = row.getInt(column); break;
            case Kind.LONG: ((long[]) data)[at] = row.getLong(column); break;
            case Kind.FLOAT: ((float[]) data)[at] = row.getFloat(column); break;
            case Kind.DOUBLE: ((double[]) data)[at] = row.getDouble(column); break;
            case Kind.TIMESTAMP: case Kind.MICROS: case Kind.NANOS: {
                Timestamp time = row.getTimestamp(column);
                if (time != null) ((long[]) data)[at] = kind == Kind.TIMESTAMP ? time.getTime() : precise(time);
                break;
            }
            case Kind.BLOB: {
                Blob blob = row.getBlob(column);
                if (blob != null) append(content(blob), at);
                break;
            }
            default: row.getObject(column);
        }
        if (row.wasNull() || kind == Kind.NONE) {
            skip(at);
        } else {
            mark(valid, at);
        }
    }

    /** Values of the first `count` rows, exactly as long as they are. */
    Object data(int count) {
        switch (kind) {
            case Kind.BOOL: return Arrays.copyOf((byte[]) data, count + 7 >> 3);
            case Kind.STRING: case Kind.BLOB: return Arrays.copyOf((byte[]) data, bytes);
            case Kind.BYTE: return Arrays.copyOf((byte[]) data, count);
            case Kind.SHORT: return Arrays.copyOf((short[]) data, count);
            case Kind.INTEGER: return Arrays.copyOf((int[]) data, count);
            case Kind.FLOAT: return Arrays.copyOf((float[]) data, count);
            case Kind.DOUBLE: return Arrays.copyOf((double[]) data, count);
            case Kind.NONE: return null;
            default: return Arrays.copyOf((long[]) data, count);
        }
    }

    int[] offsets(int count) {
        return offsets == null ? null : Arrays.copyOf(offsets, count + 1);
    }

    byte[] valid(int count) {
        return nulls == 0 ? null : Arrays.copyOf(valid, count + 7 >> 3);
    }

    private void skip(int at) {
        nulls++;
        if (offsets != null) {
            offsets[at + 1] = bytes;
        }
    }

    private void append(byte[] value, int at) {
        byte[] old = (byte[]) data;
        if (old.length - bytes < value.length) {
            data = old = Arrays.copyOf(old, Math.max(Math.addExact(bytes, value.length), Math.min(old.length * 2, 1 << 28)));
        }
        System.arraycopy(value, 0, old, bytes, value.length);
        bytes += value.length;
        offsets[at + 1] = bytes;
    }

    private void reserve(int at) {
        if (at < size) {
            return;
        }
        size *= 2;
        valid = Arrays.copyOf(valid, size + 7 >> 3);
        if (offsets != null) {
            offsets = Arrays.copyOf(offsets, size + 1);
        }
        switch (kind) {
            case Kind.BOOL: data = Arrays.copyOf((byte[]) data, size + 7 >> 3); break;
            case Kind.BYTE: data = Arrays.copyOf((byte[]) data, size); break;
            case Kind.SHORT: data = Arrays.copyOf((short[]) data, size); break;
            case Kind.INTEGER: data = Arrays.copyOf((int[]) data, size); break;
            case Kind.FLOAT: data = Arrays.copyOf((float[]) data, size); break;
            case Kind.DOUBLE: data = Arrays.copyOf((double[]) data, size); break;
            case Kind.STRING: case Kind.BLOB: case Kind.NONE: break;
            default: data = Arrays.copyOf((long[]) data, size);
        }
    }

    private static void mark(byte[] bits, int row) {
        bits[row >> 3] |= (byte) (1 << (row & 7));
    }

    private static byte[] content(Blob blob) throws Exception {
        int length = (int) blob.length();
        // Positions in a Blob count from 1.
        return length == 0 ? new byte[0] : blob.getBytes(1, length);
    }

    private long precise(Timestamp time) {
        long seconds = Math.floorDiv(time.getTime(), 1000);
        return kind == Kind.MICROS
                ? seconds * 1_000_000 + time.getNanos() / 1000
                : Math.addExact(Math.multiplyExact(seconds, 1_000_000_000L), time.getNanos());
    }
}
