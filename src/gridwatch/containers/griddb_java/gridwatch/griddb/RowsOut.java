package gridwatch.griddb;

import com.toshiba.mwcloud.gs.Row;
import com.toshiba.mwcloud.gs.RowSet;
import java.sql.ResultSet;
import java.util.List;

/** Rows on their way out of GridDB: taken one by one, handed to Python as whole columns. */
public final class RowsOut {
    private static final int BYTES_MAX = 64 << 20;

    private final ColumnOut[] columns;
    private int count;

    /**
     * @param kinds of each column, numbers of {@link Kind}
     * @param fields where each column stands in the rows, from 0
     */
    public RowsOut(int[] kinds, int[] fields) {
        columns = new ColumnOut[kinds.length];
        for (int i = 0; i < kinds.length; i++) {
            columns[i] = new ColumnOut(kinds[i], fields[i]);
        }
    }

    /** Take up to `max` more rows, fewer when they hold much text; return how many, 0 at the end. */
    @SuppressWarnings("unchecked")
    public int take(RowSet<?> source, int max) throws Exception {
        RowSet<Row> rows = (RowSet<Row>) source;
        clear();
        while (count < max && !full() && rows.hasNext()) {
            add(rows.next());
        }
        return count;
    }

    public int take(ResultSet rows, int max) throws Exception {
        clear();
        while (count < max && !full() && rows.next()) {
            for (ColumnOut column : columns) {
                column.add(rows, count);
            }
            count++;
        }
        return count;
    }

    public int take(List<Row> rows) throws Exception {
        clear();
        for (Row row : rows) {
            add(row);
        }
        return count;
    }

    public Object data(int column) {
        return columns[column].data(count);
    }

    public int[] offsets(int column) {
        return columns[column].offsets(count);
    }

    public byte[] valid(int column) {
        return columns[column].valid(count);
    }

    private void add(Row row) throws Exception {
        for (ColumnOut column : columns) {
            column.add(row, count);
        }
        count++;
    }

    private void clear() {
        if (count > 0) {
            count = 0;
            for (ColumnOut column : columns) {
                column.clear();
            }
        }
    }

    private boolean full() {
        for (ColumnOut column : columns) {
            if (column.bytes() >= BYTES_MAX) {
                return true;
            }
        }
        return false;
    }
}
