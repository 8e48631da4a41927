package gridwatch.griddb;

import com.toshiba.mwcloud.gs.AggregationResult;
import java.lang.reflect.Field;
import java.util.Date;

/** The value of an aggregation. */
public final class Aggregates {
    private Aggregates() {}

    /**
     * Return a Long, a Double or a Date, as GridDB sent it.
     *
     * <p>The client's own getters turn one into the other, so that 2 and 2.0 cannot be told apart.
     */
    public static Object value(AggregationResult result) throws ReflectiveOperationException {
        Field field = result.getClass().getDeclaredField("value");
        field.setAccessible(true);
        return field.get(result);
    }

    public static boolean isWhole(Object value) {
        return value instanceof Long;
    }

    public static boolean isTime(Object value) {
        return value instanceof Date;
    }
}
