package org.gridwatch.connect.writer;

import org.gridwatch.connect.writer.griddb.NativeWriter;
import org.gridwatch.connect.writer.webapi.WebApiWriter;

/** The writer that a URL asks for. */
public final class Writers {
    private Writers() {}

    /**
     * Returns a writer; whether the server is there shows at its first use.
     *
     * @throws WriteException the URL is none that a writer knows
     */
    public static ContainerWriter open(WriterSettings settings) {
        String scheme = settings.url().split("://", 2)[0];
        return switch (scheme) {
            case "griddb" -> new NativeWriter(settings);
            case "griddb+http", "griddb+https" -> new WebApiWriter(settings);
            default -> throw new WriteException(
                    WriteException.Kind.FATAL, "connection.url " + settings.url() + " has the unknown scheme "
                    + scheme);
        };
    }
}
