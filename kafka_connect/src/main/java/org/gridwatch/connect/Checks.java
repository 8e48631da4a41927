package org.gridwatch.connect;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.ZoneId;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.kafka.common.config.ConfigDef.Validator;
import org.apache.kafka.common.config.ConfigException;
import org.gridwatch.connect.record.NameFormat;
import org.gridwatch.connect.record.TimeText;
import org.gridwatch.connect.writer.griddb.Cluster;
import org.gridwatch.connect.writer.webapi.WebApiUrl;

/** What values the options take; each refusal names option and value, but never a password. */
final class Checks {
    private Checks() {}

    static void url(String name, Object value) {
        String url = (String) value;
        if (url == null) {
            return;
        }
        String scheme = url.contains("://") ? url.substring(0, url.indexOf("://")) : "";
        // What is wrong with such a URL must not be told with it; no name that GridDB takes has an @ in it.
        if (url.contains("@") || url.contains("%40") || url.matches("(?is).*[?&](user|password)=.*")) {
            throw new ConfigException(name + " carries a user or password; set " + Options.USER + " and "
                    + Options.PASSWORD + " instead.");
        }
        switch (scheme) {
            case "griddb" -> {
                try {
                    Cluster.parse(url);
                } catch (IllegalArgumentException error) {
                    throw new ConfigException(name + " " + url + " is wrong: " + error.getMessage() + ".");
                }
            }
            case "griddb+http", "griddb+https" -> {
                try {
                    WebApiUrl.parse(url);
                } catch (IllegalArgumentException error) {
                    throw new ConfigException(name + ": " + error.getMessage());
                }
            }
            default -> throw new ConfigException(name + " " + url + " is wrong: it begins with none of griddb://, "
                    + "griddb+http:// and griddb+https://.");
        }
    }

    static void notEmpty(String name, Object value) {
        if (value != null && value.toString().isBlank()) {
            throw new ConfigException(name + " is empty.");
        }
    }

    static void readableFile(String name, Object value) {
        String path = (String) value;
        if (path != null && !path.isEmpty() && !Files.isReadable(Path.of(path))) {
            throw new ConfigException(name + " is " + path + ", which is no file that this worker can read.");
        }
    }

    static void nameFormat(String name, Object value) {
        try {
            NameFormat.parse((String) value, false);
        } catch (IllegalArgumentException error) {
            throw new ConfigException(name + " is '" + value + "': " + error.getMessage() + ".");
        }
    }

    static void names(String name, Object value) {
        Set<String> seen = new HashSet<>();
        for (Object field : value == null ? List.of() : (List<?>) value) {
            if (field.toString().isBlank()) {
                throw new ConfigException(name + " has an empty name in it.");
            }
            if (!seen.add(field.toString().toLowerCase(Locale.ROOT))) {
                throw new ConfigException(name + " names '" + field + "' twice.");
            }
        }
    }

    static void timestampPattern(String name, Object value) {
        try {
            new TimeText((String) value, ZoneId.of("UTC"));
        } catch (IllegalArgumentException error) {
            throw new ConfigException(name + " is '" + value + "': " + error.getMessage() + ".");
        }
    }

    static void zone(String name, Object value) {
        try {
            ZoneId.of((String) value);
        } catch (DateTimeException error) {
            throw new ConfigException(name + " is '" + value + "', which is no time zone; use one such as "
                    + "America/New_York or UTC.");
        }
    }

    static Validator oneOf(String... allowed) {
        return new Validator() {
            @Override
            public void ensureValid(String name, Object value) {
                if (!Arrays.asList(allowed).contains(value)) {
                    throw new ConfigException(name + " is '" + value + "'; use " + this + ".");
                }
            }

            @Override
            public String toString() {
                return String.join(", ", allowed);
            }
        };
    }

    static Validator atLeast(long least) {
        return between(least, Long.MAX_VALUE);
    }

    static Validator between(long least, long most) {
        return new Validator() {
            @Override
            public void ensureValid(String name, Object value) {
                if (value == null) {
                    // The text was no number; that is told already.
                    return;
                }
                long number = ((Number) value).longValue();
                if (number < least || number > most) {
                    throw new ConfigException(name + " is " + value + "; use " + this + ".");
                }
            }

            @Override
            public String toString() {
                return most == Long.MAX_VALUE ? least + " or more" : least + " to " + most;
            }
        };
    }
}
