package org.gridwatch.connect.writer.griddb;

import com.toshiba.mwcloud.gs.ColumnInfo;
import com.toshiba.mwcloud.gs.ContainerInfo;
import com.toshiba.mwcloud.gs.ContainerType;
import com.toshiba.mwcloud.gs.GSType;
import com.toshiba.mwcloud.gs.TimeUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;
import org.gridwatch.connect.writer.Container;
import org.gridwatch.connect.writer.ContainerKind;

/** Containers' schemas as GridDB's native client has them, and as the writers' {@link Container}. */
final class Schemas {
    private Schemas() {}

    static Container read(ContainerInfo info) {
        List<Column> columns = new ArrayList<>(info.getColumnCount());
        for (int i = 0; i < info.getColumnCount(); i++) {
            ColumnInfo column = info.getColumnInfo(i);
            Boolean nullable = column.getNullable();
            boolean key = info.getRowKeyColumnList().contains(i);
            columns.add(new Column(column.getName(), type(column), !key && (nullable == null || nullable)));
        }
        List<String> key = info.getRowKeyColumnList().stream().map(i -> columns.get(i).name()).toList();
        return new Container(info.getName(), ContainerKind.valueOf(info.getType().name()), columns, key);
    }

    private static ColumnType type(ColumnInfo column) {
        if (column.getType() == GSType.TIMESTAMP && column.getTimePrecision() == TimeUnit.MICROSECOND) {
            return ColumnType.TIMESTAMP_MICRO;
        }
        if (column.getType() == GSType.TIMESTAMP && column.getTimePrecision() == TimeUnit.NANOSECOND) {
            return ColumnType.TIMESTAMP_NANO;
        }
        return ColumnType.valueOf(column.getType().name());
    }

    static ContainerInfo made(Container container) {
        List<ColumnInfo> columns = new ArrayList<>();
        for (Column column : container.columns()) {
            columns.add(made(column, !container.rowKey().contains(column.name()) && column.nullable()));
        }
        List<Integer> key = IntStream.of(container.keyPositions()).boxed().toList();
        return new ContainerInfo(
                container.name(), ContainerType.valueOf(container.kind().name()), columns, new ArrayList<>(key));
    }

    private static ColumnInfo made(Column column, boolean nullable) {
        ColumnInfo.Builder builder = new ColumnInfo.Builder();
        builder.setName(column.name());
        builder.setNullable(nullable);
        switch (column.type()) {
            case TIMESTAMP_MICRO -> builder.setType(GSType.TIMESTAMP).setTimePrecision(TimeUnit.MICROSECOND);
            case TIMESTAMP_NANO -> builder.setType(GSType.TIMESTAMP).setTimePrecision(TimeUnit.NANOSECOND);
            default -> builder.setType(GSType.valueOf(column.type().name()));
        }
        return builder.toInfo();
    }
}
