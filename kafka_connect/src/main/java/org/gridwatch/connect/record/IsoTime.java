package org.gridwatch.connect.record;

import java.time.DateTimeException;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.time.temporal.IsoFields;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Times in ISO 8601: with and without separators, weeks, offsets to the second and any decimals, as Python's
 * {@code datetime.fromisoformat} reads them.
 */
final class IsoTime {
    private static final Pattern DATE =
            Pattern.compile("(\\d{4})(?:-(\\d\\d)-(\\d\\d)|(\\d\\d)(\\d\\d)|(-?)W(\\d\\d)(?:\\6(\\d))?)");
    private static final Pattern CLOCK = Pattern.compile(
            "(\\d\\d)(?:(:?)(\\d\\d)(?:\\2(\\d\\d)(?:[.,](\\d+))?)?)?");
    private static final int NANO_DIGITS = 9;

    private IsoTime() {}

    static Instant parse(String text, TimeText zone) {
        Matcher day = DATE.matcher(text);
        if (!day.lookingAt()) {
            throw new DateTimeParseException("no date", text, 0);
        }
        LocalDate date = date(day, text);
        if (day.end() == text.length()) {
            return zone.instant(date.atStartOfDay(), text);
        }
        // Any one character stands between date and time.
        String rest = text.substring(text.offsetByCodePoints(day.end(), 1));
        int sign = Math.max(rest.indexOf('+'), rest.indexOf('-'));
        boolean utc = rest.endsWith("Z");
        String clock = utc ? rest.substring(0, rest.length() - 1) : sign < 0 ? rest : rest.substring(0, sign);
        LocalDateTime local = date.atTime(time(clock, text));
        if (utc) {
            return local.toInstant(java.time.ZoneOffset.UTC);
        }
        if (sign < 0) {
            return zone.instant(local, text);
        }
        LocalTime offset = time(rest.substring(sign + 1), text);
        long nanos = rest.charAt(sign) == '+' ? -offset.toNanoOfDay() : offset.toNanoOfDay();
        return local.toInstant(java.time.ZoneOffset.UTC).plus(nanos, ChronoUnit.NANOS);
    }

    private static LocalDate date(Matcher found, String text) {
        int year = Integer.parseInt(found.group(1));
        try {
            if (year == 0) {
                throw new DateTimeException("year 0");
            }
            if (found.group(7) == null) {
                String month = found.group(2) != null ? found.group(2) : found.group(4);
                String day = found.group(2) != null ? found.group(3) : found.group(5);
                return LocalDate.of(year, Integer.parseInt(month), Integer.parseInt(day));
            }
            DayOfWeek weekday = DayOfWeek.of(found.group(8) == null ? 1 : Integer.parseInt(found.group(8)));
            LocalDate inYear = LocalDate.of(year, 1, 4);
            int week = Integer.parseInt(found.group(7));
            IsoFields.WEEK_OF_WEEK_BASED_YEAR.rangeRefinedBy(inYear).checkValidValue(week, IsoFields.WEEK_OF_WEEK_BASED_YEAR);
            return inYear.with(IsoFields.WEEK_OF_WEEK_BASED_YEAR, week).with(weekday);
        } catch (DateTimeException error) {
            throw new DateTimeParseException("no such day", text, 0, error);
        }
    }

    private static LocalTime time(String clock, String text) {
        Matcher found = CLOCK.matcher(clock);
        if (!found.matches()) {
            throw new DateTimeParseException("no time", text, 0);
        }
        try {
            return LocalTime.of(number(found.group(1)), number(found.group(3)), number(found.group(4)), nanos(found.group(5)));
        } catch (DateTimeException error) {
            throw new DateTimeParseException("no such time", text, 0, error);
        }
    }

    private static int number(String digits) {
        return digits == null ? 0 : Integer.parseInt(digits);
    }

    private static int nanos(String digits) {
        if (digits == null) {
            return 0;
        }
        String cut = digits.length() > NANO_DIGITS ? digits.substring(0, NANO_DIGITS) : digits;
        return Integer.parseInt(cut) * (int) Math.pow(10, NANO_DIGITS - cut.length());
    }
}
