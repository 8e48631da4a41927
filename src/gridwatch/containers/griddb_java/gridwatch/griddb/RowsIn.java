package gridwatch.griddb;

import com.toshiba.mwcloud.gs.Container;
import com.toshiba.mwcloud.gs.ContainerInfo;
import com.toshiba.mwcloud.gs.GridStore;
import com.toshiba.mwcloud.gs.Row;
import com.toshiba.mwcloud.gs.RowKeyPredicate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Whole columns on their way into GridDB: the Row objects that its client wants are made here, not in Python. */
public final class RowsIn {
    private final int count;
    private final List<ColumnIn> columns = new ArrayList<>();

    public RowsIn(int count) {
        this.count = count;
    }

    /**
     * Add the next column.
     *
     * @param kind a number of {@link Kind}
     * @param data an array of primitives
     * @param offsets where text and blobs begin in `data`, count + 1 of them; else null
     * @param valid a bit for each row that is not null; null when none is
     */
    public void add(int kind, Object data, int[] offsets, byte[] valid) {
        columns.add(new ColumnIn(kind, data, offsets, valid));
    }

    /** Put the rows, in one request. */
    @SuppressWarnings("unchecked")
    public void put(Container<?, ?> container) throws Exception {
        Container<?, Row> target = (Container<?, Row>) container;
        target.put(rows(target.createRow()));
    }

    /**
     * Take these rows, which have key columns only, for keys; return the rows of a container that have them, in the
     * order of the keys.
     */
    public List<Row> get(GridStore store, ContainerInfo info) throws Exception {
        RowKeyPredicate<Row.Key> predicate = RowKeyPredicate.create(info);
        List<Row> keys = rows(store.createRowKey(info));
        Map<List<Object>, Integer> places = new HashMap<>();
        for (Row key : keys) {
            places.put(values(key), places.size());
            predicate.add((Row.Key) key);
        }
        List<Row> answer = store.multiGet(Collections.singletonMap(info.getName(), predicate)).get(info.getName());
        if (answer == null) {
            return new ArrayList<>();
        }
        Row[] sorted = new Row[keys.size()];
        for (Row row : answer) {
            sorted[places.get(values(row))] = row;
        }
        List<Row> found = new ArrayList<>(answer.size());
        for (Row row : sorted) {
            if (row != null) {
                found.add(row);
            }
        }
        return found;
    }

    /** Remove the rows with these keys one by one; return how many there were. */
    @SuppressWarnings("unchecked")
    public int remove(GridStore store, ContainerInfo info, Container<?, ?> container) throws Exception {
        Container<Object, Row> target = (Container<Object, Row>) container;
        int removed = 0;
        for (Row key : rows(store.createRowKey(info))) {
            removed += target.remove(columns.size() == 1 ? key.getValue(0) : key) ? 1 : 0;
        }
        return removed;
    }

    private List<Object> values(Row row) throws Exception {
        List<Object> values = new ArrayList<>(columns.size());
        for (int column = 0; column < columns.size(); column++) {
            values.add(row.getValue(column));
        }
        return values;
    }

    /** Return the rows, each made from a row of the same schema. */
    public List<Row> rows(Row pattern) throws Exception {
        ColumnIn[] fields = columns.toArray(new ColumnIn[0]);
        List<Row> rows = new ArrayList<>(count);
        for (int row = 0; row < count; row++) {
            Row made = pattern instanceof Row.Key ? ((Row.Key) pattern).createKey() : pattern.createRow();
            for (int column = 0; column < fields.length; column++) {
                fields[column].set(made, column, row);
            }
            rows.add(made);
        }
        return rows;
    }
}
