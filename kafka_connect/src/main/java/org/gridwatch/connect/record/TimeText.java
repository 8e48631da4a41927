package org.gridwatch.connect.record;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.chrono.IsoChronology;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.DateTimeParseException;
import java.time.format.ResolverStyle;
import java.time.temporal.ChronoField;
import java.time.temporal.TemporalAccessor;
import java.time.temporal.TemporalQueries;
import java.util.List;
import java.util.Locale;

/** Times as text, turned into instants without a guess. */
public final class TimeText {
    // Late in the year, in the afternoon: what a pattern confuses shows here.
    private static final ZonedDateTime SAMPLE = ZonedDateTime.of(2024, 12, 30, 15, 47, 59, 123_000_000, ZoneOffset.UTC);

    private final String pattern;
    private final DateTimeFormatter formatter;
    private final ZoneId zone;

    /**
     * @param pattern in the letters of {@link DateTimeFormatter}; empty for ISO 8601
     * @param zone of texts that name none
     * @throws IllegalArgumentException the pattern is none, or would lose what it reads
     */
    public TimeText(String pattern, ZoneId zone) {
        this.pattern = pattern;
        this.zone = zone;
        this.formatter = pattern.isEmpty() ? null : formatter(pattern);
    }

    private static DateTimeFormatter formatter(String pattern) {
        if (letters(pattern).matches("[^ab]*[hK].*") && !letters(pattern).matches(".*[aB].*")) {
            throw new IllegalArgumentException(
                    "hh and KK are the clock of 12 hours, on which 00:30 and 12:30 are the same; use HH, or add a");
        }
        DateTimeFormatter made = new DateTimeFormatterBuilder()
                .parseCaseInsensitive()
                .appendPattern(pattern)
                .parseDefaulting(ChronoField.ERA, 1)
                .toFormatter(Locale.ENGLISH)
                .withChronology(IsoChronology.INSTANCE)
                .withResolverStyle(ResolverStyle.STRICT);
        try {
            LocalDateTime read = local(made.parse(made.format(SAMPLE)));
            if (!read.toLocalDate().equals(SAMPLE.toLocalDate())) {
                throw new IllegalArgumentException("it reads " + SAMPLE.toLocalDate() + " as " + read.toLocalDate());
            }
        } catch (DateTimeException error) {
            throw new IllegalArgumentException("it does not tell year, month and day (yyyy-MM-dd; YYYY is the year of "
                    + "the week, mm the minute, DD the day of the year)", error);
        }
        return made;
    }

    /** Returns a pattern's letters, without what stands in quotes. */
    private static String letters(String pattern) {
        return pattern.replaceAll("'[^']*'", "");
    }

    /**
     * Returns the instant that a text tells.
     *
     * @throws BadRecordException it does not fit, or, on a local clock, it came twice or never because of daylight
     *     saving
     */
    public Instant parse(String text) {
        try {
            if (formatter == null) {
                return IsoTime.parse(text, this);
            }
            TemporalAccessor found = formatter.parse(text);
            ZoneId own = found.query(TemporalQueries.zone());
            LocalDateTime local = local(found);
            return own instanceof ZoneOffset offset
                    ? local.toInstant(offset)
                    : instant(local, own == null ? zone : own, text);
        } catch (DateTimeParseException error) {
            throw new BadRecordException("time '" + Shown.cut(text) + "' does not fit "
                    + (formatter == null ? "ISO 8601" : "the pattern '" + pattern + "'"));
        } catch (DateTimeException error) {
            throw new BadRecordException("time '" + Shown.cut(text) + "' is out of range");
        }
    }

    private static LocalDateTime local(TemporalAccessor found) {
        LocalTime time = found.query(TemporalQueries.localTime());
        LocalDate date = found.query(TemporalQueries.localDate());
        if (date == null) {
            throw new DateTimeException("no date");
        }
        return LocalDateTime.of(date, time == null ? LocalTime.MIDNIGHT : time);
    }

    Instant instant(LocalDateTime local, String text) {
        return instant(local, zone, text);
    }

    private static Instant instant(LocalDateTime local, ZoneId zone, String text) {
        List<ZoneOffset> offsets = zone.getRules().getValidOffsets(local);
        if (offsets.size() != 1) {
            throw new BadRecordException(
                    "time '" + Shown.cut(text) + "' " + (offsets.isEmpty() ? "never came" : "came twice")
                    + " in " + zone + " (daylight saving); send it with its offset");
        }
        return local.toInstant(offsets.get(0));
    }
}
