package org.gridwatch.connect.writer.webapi;

import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a database of a Web API is.
 *
 * <p>{@code griddb+http://host:8081/cluster/db} is {@code http://host:8081/griddb/v2/cluster/dbs/db}. Ports are 8081
 * and, with {@code griddb+https}, 443 unless named. A path before the cluster is that of a proxy, and the whole path of
 * the API, as GridDB Cloud's console shows it, may stand there as well.
 *
 * @param scheme {@code http} or {@code https}
 * @param host name or address, without an IPv6 address' brackets
 * @param port of the API
 * @param cluster name of the cluster
 * @param database name of the database
 * @param path what stands before the endpoints' names, ready for a request
 */
public record WebApiUrl(String scheme, String host, int port, String cluster, String database, String path) {
    private static final Map<String, Integer> PORTS = Map.of("http", 8081, "https", 443);
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_\\-./=]+");
    private static final Pattern FULL = Pattern.compile("(.*?)/?griddb/v2/([^/]+)/dbs/([^/]+)");
    private static final Pattern SHORT = Pattern.compile("(?:(.*)/)?([^/]+)/([^/]+)");

    /** Tells whether a URL is meant for a Web API, right or wrong. */
    public static boolean isMeant(String url) {
        return url.startsWith("griddb+http:") || url.startsWith("griddb+https:");
    }

    /**
     * Reads a URL.
     *
     * @throws IllegalArgumentException it has another form; the message says which it should have
     */
    public static WebApiUrl parse(String url) {
        URI parts = parts(url);
        String scheme = parts.getScheme().substring("griddb+".length());
        if (parts.getHost() == null) {
            throw wrong(url, "it names no host and port");
        }
        if (parts.getRawQuery() != null || parts.getRawFragment() != null) {
            throw wrong(url, "it has a query (?) or a fragment (#)");
        }
        int port = parts.getPort() == -1 ? PORTS.get(scheme) : parts.getPort();
        if (port < 1 || port > 65_535) {
            throw wrong(url, "its port is no number from 1 to 65535");
        }
        Matcher found = matched(url, parts.getRawPath());
        String cluster = name(url, found.group(2));
        String database = name(url, found.group(3));
        String before = found.group(1) == null || found.group(1).isEmpty() ? "" : "/" + found.group(1);
        String path = before + "/griddb/v2/" + encoded(cluster) + "/dbs/" + encoded(database);
        String host = parts.getHost().replaceAll("^\\[|]$", "");
        return new WebApiUrl(scheme, host, port, cluster, database, path);
    }

    /** Returns the address for messages, such as {@code https://host:443}. */
    public String place() {
        return scheme + "://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
    }

    /** Returns the address of an endpoint, such as {@code containers/rows}. */
    URI endpoint(String name) {
        return URI.create(place() + path + "/" + name);
    }

    private static URI parts(String url) {
        if (!isMeant(url)) {
            throw wrong(url, "it does not begin with griddb+http:// or griddb+https://");
        }
        URI parts;
        try {
            parts = new URI(url);
        } catch (URISyntaxException error) {
            throw wrong(url, error.getReason());
        }
        // A login in a URL ends in logs and in the answers of Connect's REST API; so this message does not show it.
        if (parts.getRawAuthority() != null && parts.getRawAuthority().contains("@")) {
            throw new IllegalArgumentException(
                    "A URL must hold no login: set connection.user and connection.password instead.");
        }
        return parts;
    }

    private static Matcher matched(String url, String path) {
        String inner = path.replaceAll("^/+|/+$", "");
        Matcher full = FULL.matcher(inner);
        if (full.matches()) {
            return full;
        }
        Matcher brief = SHORT.matcher(inner);
        if (!brief.matches()) {
            throw wrong(url, "it names no cluster and database");
        }
        return brief;
    }

    private static String name(String url, String encoded) {
        String name = URLDecoder.decode(encoded.replace("+", "%2B"), StandardCharsets.UTF_8);
        if (!NAME.matcher(name).matches()) {
            throw wrong(url, "'" + name + "' is no name of a cluster or database");
        }
        return name;
    }

    private static String encoded(String name) {
        return URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private static IllegalArgumentException wrong(String url, String why) {
        return new IllegalArgumentException("URL '" + url + "' is wrong: " + why
                + "; use griddb+https://host/cluster/database, or griddb+http:// where the Web API has no TLS.");
    }
}
