package org.gridwatch.connect.writer.webapi;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import org.gridwatch.connect.writer.ColumnType;

/** Times as the Web API reads them: of a ms column exactly three decimals, of finer ones six and nine, always UTC. */
final class Times {
    private static final DateTimeFormatter MS = format("SSS");
    private static final DateTimeFormatter US = format("SSSSSS");
    private static final DateTimeFormatter NS = format("SSSSSSSSS");

    private Times() {}

    private static DateTimeFormatter format(String decimals) {
        return DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss." + decimals + "'Z'", Locale.ROOT)
                .withZone(ZoneOffset.UTC);
    }

    /** Returns the text of an instant for a column of this type; what is finer than the column is cut off. */
    static String text(ColumnType type, Instant instant) {
        return switch (type) {
            case TIMESTAMP_MICRO -> US.format(instant);
            case TIMESTAMP_NANO -> NS.format(instant);
            default -> MS.format(instant);
        };
    }
}
