package gridwatch.griddb;

import com.toshiba.mwcloud.gs.Row;
import com.toshiba.mwcloud.gs.common.BlobImpl;
import java.nio.charset.StandardCharsets;
import java.sql.Timestamp;
import java.util.Arrays;
import java.util.Date;

/** One column on its way into GridDB, as Arrow lays it out. */
final class ColumnIn {
    private final int kind;
    private final Object data;
    private final int[] offsets;
    private final byte[] valid;

    ColumnIn(int kind, Object data, int[] offsets, byte[] valid) {
        this.kind = kind;
        this.data = data;
        this.offsets = offsets;
        this.valid = valid;
    }

    /** Set field `column` of `target` to this column's value in row `row`. */
    void set(Row target, int column, int row) throws Exception {
        if (valid != null && !Kind.bit(valid, row)) {
            target.setNull(column);
            return;
        }
        switch (kind) {
            case Kind.BOOL: target.setBool(column, Kind.bit((byte[]) data, row)); break;
            case Kind.STRING: target.setString(column, text(row)); break;
            case Kind.BYTE: target.setByte(column, ((byte[]) data)[row]); break;
            case Kind.SHORT: target.setShort(column, ((short[]) data)[row]); break;
            case Kind.INTEGER: target.setInteger(column, ((int[]) data)[row]); break;
            case Kind.LONG: target.setLong(column, ((long[]) data)[row]); break;
            case Kind.FLOAT: target.setFloat(column, ((float[]) data)[row]); break;
            case Kind.DOUBLE: target.setDouble(column, ((double[]) data)[row]); break;
            case Kind.TIMESTAMP: target.setTimestamp(column, new Date(((long[]) data)[row])); break;
            case Kind.MICROS: target.setPreciseTimestamp(column, precise(((long[]) data)[row], 1_000_000)); break;
            case Kind.NANOS: target.setPreciseTimestamp(column, precise(((long[]) data)[row], 1_000_000_000)); break;
            case Kind.BLOB: target.setBlob(column, blob(row)); break;
            default: throw new IllegalArgumentException("kind " + kind);
        }
    }

    private String text(int row) {
        return new String((byte[]) data, offsets[row], offsets[row + 1] - offsets[row], StandardCharsets.UTF_8);
    }

    private BlobImpl blob(int row) throws Exception {
        BlobImpl blob = new BlobImpl();
        blob.setDataDirect(Arrays.copyOfRange((byte[]) data, offsets[row], offsets[row + 1]));
        return blob;
    }

    private static Timestamp precise(long value, int units) {
        Timestamp time = new Timestamp(Math.floorDiv(value, units) * 1000);
        time.setNanos((int) (Math.floorMod(value, units) * (1_000_000_000L / units)));
        return time;
    }
}
