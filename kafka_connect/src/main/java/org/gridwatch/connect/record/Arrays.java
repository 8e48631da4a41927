package org.gridwatch.connect.record;

import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.connect.data.Schema;
import org.gridwatch.connect.writer.Column;
import org.gridwatch.connect.writer.ColumnType;

/** Lists as the arrays that GridDB's array columns take. */
final class Arrays {
    private Arrays() {}

    static Object of(Values values, Column column, Schema schema, Object value) {
        ColumnType element = column.type().element();
        if (value instanceof ByteBuffer || value instanceof byte[] || !(value instanceof List<?> list)) {
            throw Values.wrongType(column.name(), column.type(), value);
        }
        Schema inner = schema == null ? null : schema.valueSchema();
        Object array = Array.newInstance(column.type().javaType().getComponentType(), list.size());
        for (int i = 0; i < list.size(); i++) {
            String name = column.name() + "[" + i + "]";
            if (list.get(i) == null) {
                throw new BadRecordException("'" + name + "' is null; GridDB's arrays hold no nulls");
            }
            Array.set(array, i, values.plain(name, element, inner, list.get(i)));
        }
        return array;
    }
}
