package org.gridwatch.connect.record;

import java.time.DateTimeException;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeParseException;
import java.time.temporal.IsoFields;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Times in ISO 8601: with and without separators, weeks, offsets to the second and any decimals.
 *
 * <p>The Python sink takes exactly these, too: {@code streaming/times.py}.
 */
final class IsoTime {
    private static final String HOUR = "(\\d\\d)(?:(\\d\\d)(?:(\\d\\d)%1$s)?|:(\\d\\d)(?::(\\d\\d)%1$s)?)?";
    private static final Pattern FORM = Pattern.compile(
            "(\\d{4})(?:-(\\d\\d)-(\\d\\d)|(\\d\\d)(\\d\\d)|W(\\d\\d)(\\d)?|-W(\\d\\d)(?:-(\\d))?)"
                    + "(?:[^0-9](" + String.format(HOUR, "(?:[.,](\\d+))?") + ")"
                    + "(?:(Z)|([+-])(" + String.format(HOUR, "()") + "))?)?",
            Pattern.DOTALL);
    private static final int NANO_DIGITS = 9;
    // Groups of the form: the clock's first, and the offset's.
    private static final int CLOCK = 10;
    private static final int UTC = 18;
    private static final int SIGN = 19;
    private static final int OFFSET = 20;

    private IsoTime() {}

    static Instant parse(String text, TimeText zone) {
        Matcher found = FORM.matcher(text);
        if (!found.matches()) {
            throw new DateTimeParseException("another form", text, 0);
        }
        LocalDateTime local;
        LocalTime offset;
        try {
            local = date(found).atTime(found.group(CLOCK) == null ? LocalTime.MIDNIGHT : time(found, CLOCK));
            offset = found.group(OFFSET) == null ? null : time(found, OFFSET);
        } catch (DateTimeException error) {
            throw new DateTimeParseException("no such time", text, 0, error);
        }
        if (found.group(UTC) != null) {
            return local.toInstant(ZoneOffset.UTC);
        }
        if (offset == null) {
            return zone.instant(local, text);
        }
        boolean east = found.group(SIGN).equals("+");
        return local.toInstant(ZoneOffset.UTC).plusSeconds(east ? -offset.toSecondOfDay() : offset.toSecondOfDay());
    }

    private static LocalDate date(Matcher found) {
        int year = number(found, 1, 1);
        if (year == 0) {
            throw new DateTimeException("year 0");
        }
        if (found.group(2) != null || found.group(4) != null) {
            return LocalDate.of(year, number(found, 2, 4), number(found, 3, 5));
        }
        LocalDate inYear = LocalDate.of(year, 1, 4);
        int week = number(found, 6, 8);
        IsoFields.WEEK_OF_WEEK_BASED_YEAR
                .rangeRefinedBy(inYear)
                .checkValidValue(week, IsoFields.WEEK_OF_WEEK_BASED_YEAR);
        boolean hasDay = found.group(7) != null || found.group(9) != null;
        DayOfWeek day = hasDay ? DayOfWeek.of(number(found, 7, 9)) : DayOfWeek.MONDAY;
        return inYear.with(IsoFields.WEEK_OF_WEEK_BASED_YEAR, week).with(day);
    }

    /** Returns the time whose text is this group; those of its parts follow, without and with separators. */
    private static LocalTime time(Matcher found, int group) {
        String decimals = found.group(group + 4) != null ? found.group(group + 4) : found.group(group + 7);
        return LocalTime.of(
                number(found, group + 1, group + 1),
                number(found, group + 2, group + 5),
                number(found, group + 3, group + 6),
                nanos(decimals));
    }

    /** Returns the number in one of two groups; 0 when neither is there. */
    private static int number(Matcher found, int group, int other) {
        String digits = found.group(group) != null ? found.group(group) : found.group(other);
        return digits == null ? 0 : Integer.parseInt(digits);
    }

    private static int nanos(String digits) {
        if (digits == null || digits.isEmpty()) {
            return 0;
        }
        String cut = digits.length() > NANO_DIGITS ? digits.substring(0, NANO_DIGITS) : digits;
        return Integer.parseInt(cut) * (int) Math.pow(10, NANO_DIGITS - cut.length());
    }
}
