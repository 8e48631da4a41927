package org.gridwatch.connect.writer;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;

/**
 * Where a writer writes, and as whom. Its text holds no password.
 *
 * @param url {@code griddb://...} or {@code griddb+http(s)://...}
 * @param user who logs in
 * @param password in clear
 * @param caFile certificates (PEM) to trust besides the JVM's own; {@code null} for none
 * @param timeout longest wait for one answer
 */
public record WriterSettings(String url, String user, String password, Path caFile, Duration timeout) {
    public WriterSettings {
        Objects.requireNonNull(url, "url");
        Objects.requireNonNull(user, "user");
        Objects.requireNonNull(password, "password");
        Objects.requireNonNull(timeout, "timeout");
    }

    @Override
    public String toString() {
        return "WriterSettings[url=" + url + ", user=" + user + ", timeout=" + timeout + "]";
    }
}
