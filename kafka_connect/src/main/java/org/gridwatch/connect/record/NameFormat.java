package org.gridwatch.connect.record;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The container that a record goes to, from a format such as {@code ${topic}} or {@code meter_${field:site}}. */
public final class NameFormat {
    private static final Pattern PLACE = Pattern.compile("\\$\\{([^}]*)}");
    private static final Pattern FOREIGN = Pattern.compile("[^A-Za-z0-9_\\-./=]");
    private static final String FIELD = "field:";
    private static final int NAME_MAX = 16_384;

    private record Part(String text, boolean topic, String field) {}

    private final String format;
    private final List<Part> parts;
    private final boolean sanitize;

    private NameFormat(String format, List<Part> parts, boolean sanitize) {
        this.format = format;
        this.parts = List.copyOf(parts);
        this.sanitize = sanitize;
    }

    /**
     * Reads a format.
     *
     * @param sanitize whether characters that GridDB does not take become _
     * @throws IllegalArgumentException it is empty or has an unknown placeholder
     */
    public static NameFormat parse(String format, boolean sanitize) {
        if (format == null || format.isBlank()) {
            throw new IllegalArgumentException("the format is empty; use ${topic} or ${field:NAME}");
        }
        List<Part> parts = new ArrayList<>();
        Matcher found = PLACE.matcher(format);
        int end = 0;
        while (found.find()) {
            literal(parts, format.substring(end, found.start()));
            String inside = found.group(1);
            if (inside.equals("topic")) {
                parts.add(new Part("", true, null));
            } else if (inside.startsWith(FIELD) && inside.length() > FIELD.length()) {
                parts.add(new Part("", false, inside.substring(FIELD.length())));
            } else {
                throw new IllegalArgumentException(found.group() + " is unknown; there are ${topic} and ${field:NAME}");
            }
            end = found.end();
        }
        literal(parts, format.substring(end));
        return new NameFormat(format, parts, sanitize);
    }

    private static void literal(List<Part> parts, String text) {
        if (text.isEmpty()) {
            return;
        }
        Matcher foreign = FOREIGN.matcher(text.replace("@", ""));
        if (foreign.find()) {
            throw new IllegalArgumentException("GridDB takes no '" + foreign.group()
                    + "' in a container's name; use A-Z a-z 0-9 _ - . / =");
        }
        parts.add(new Part(text, false, null));
    }

    /** Returns the fields that the name is made from. */
    public List<String> fields() {
        return parts.stream().map(Part::field).filter(field -> field != null).toList();
    }

    /**
     * Returns the container's name.
     *
     * @param topic of the record
     * @param fields of its value; {@code null} for a tombstone
     * @throws BadRecordException a field is missing or no name, or GridDB takes no such name
     */
    public String name(String topic, Fields fields) {
        StringBuilder name = new StringBuilder();
        for (Part part : parts) {
            name.append(part.topic() ? clean(topic) : part.field() == null ? part.text() : value(part.field(), fields));
        }
        if (name.length() > NAME_MAX) {
            throw new BadRecordException(
                    "the container's name would have " + name.length() + " characters; GridDB takes "
                    + NAME_MAX);
        }
        return name.toString();
    }

    private String value(String field, Fields fields) {
        Optional<Field> found = fields == null ? Optional.empty() : fields.find(field);
        Object value = found.map(Field::value).orElse(null);
        boolean plain = value instanceof String || value instanceof Boolean || value instanceof Byte
                || value instanceof Short || value instanceof Integer || value instanceof Long;
        if (!plain || value.toString().isEmpty()) {
            String why = found.isEmpty() ? "missing" : value == null ? "null" : plain ? "empty" : Shown.kind(value);
            throw new BadRecordException(
                    "field '" + field + "', which " + format + " makes the container's name from, is "
                    + why);
        }
        return clean(value.toString());
    }

    private String clean(String text) {
        Matcher foreign = FOREIGN.matcher(text);
        if (!foreign.find()) {
            return text;
        }
        if (sanitize) {
            return foreign.replaceAll("_");
        }
        throw new BadRecordException("GridDB takes no '" + foreign.group() + "' in a container's name, and '"
                + Shown.cut(text) + "' has one; set container.name.sanitize=true to put _ there");
    }
}
