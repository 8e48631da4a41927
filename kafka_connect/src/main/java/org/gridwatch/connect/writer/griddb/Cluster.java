package org.gridwatch.connect.writer.griddb;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Where a GridDB cluster is, read from a URL.
 *
 * <table>
 * <caption>How the cluster is found</caption>
 * <tr><td>{@code griddb://h1:10001,h2:10001/cluster/db}</td><td>fixed list of the nodes' transaction service</td></tr>
 * <tr><td>{@code griddb://239.0.0.1:31999/cluster/db}</td><td>multicast, known by its address</td></tr>
 * <tr><td>{@code griddb:///cluster/db?provider=http://host/members.json}</td><td>address provider</td></tr>
 * </table>
 *
 * <p>{@code ?sql=h1:20001,h2:20001} names the SQL service where it is not at the usual place (port 20001 of the same
 * hosts, 41999 of the multicast address), {@code ?interface=} the network interface for multicast, and
 * {@code ?route=PUBLIC} takes the cluster's public addresses.
 */
public final class Cluster {
    private static final String FORM = "use griddb://host:port,host:port/cluster/database";
    private static final Pattern URL = Pattern.compile("griddb://([^/?#]*)/([^/?#]+)/([^/?#]+)/?(?:\\?([^#]*))?");
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_\\-./=]+");
    private static final Pattern ADDRESS = Pattern.compile("([^:]+)(?::([1-9]\\d{0,4}))?");
    private static final Pattern IP_V4 = Pattern.compile("(\\d{1,3})\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");
    private static final Set<String> OPTIONS = Set.of("sql", "provider", "interface", "route");
    private static final int PORT = 10_001;
    private static final int SQL_PORT = 20_001;
    private static final int MULTICAST_PORT = 31_999;
    private static final int MULTICAST_SQL_PORT = 41_999;
    private static final int PORT_MAX = 65_535;

    private record Address(String host, int port) {
        Address or(int standard) {
            return port > 0 ? this : new Address(host, standard);
        }

        boolean isMulticast() {
            var found = IP_V4.matcher(host);
            return found.matches() && Integer.parseInt(found.group(1)) >> 4 == 14;
        }

        @Override
        public String toString() {
            return host + ":" + port;
        }
    }

    private final String name;
    private final String database;
    private final List<Address> members;
    private final List<Address> sqlMembers;
    private final Address multicast;
    private final Address multicastSql;
    private final Map<String, String> options;

    private Cluster(String name, String database, List<Address> given, Map<String, String> options) {
        this.name = name;
        this.database = database;
        this.options = options;
        List<Address> sql = addresses(options.getOrDefault("sql", ""));
        String provider = options.get("provider");
        if (provider == null && given.isEmpty()) {
            throw new IllegalArgumentException(
                    "it names no host; " + FORM + ", or griddb:///cluster/database?provider=http://...");
        }
        if (provider != null && !(given.isEmpty() && sql.isEmpty())) {
            throw new IllegalArgumentException(
                    "with a provider it names no host: griddb:///cluster/database?provider=...");
        }
        if (given.stream().anyMatch(Address::isMulticast)) {
            if (given.size() > 1 || sql.size() > 1) {
                throw new IllegalArgumentException("a multicast address stands alone");
            }
            multicast = given.get(0).or(MULTICAST_PORT);
            multicastSql = (sql.isEmpty() ? new Address(multicast.host(), 0) : sql.get(0)).or(MULTICAST_SQL_PORT);
            members = List.of();
            sqlMembers = List.of();
            return;
        }
        multicast = null;
        multicastSql = null;
        members = given.stream().map(address -> address.or(PORT)).toList();
        Set<String> hosts = members.stream().map(Address::host).collect(Collectors.toCollection(LinkedHashSet::new));
        if (sql.isEmpty() && hosts.size() < members.size()) {
            throw new IllegalArgumentException(
                    "several nodes are on one host, so name their SQL ports: ?sql=host:20001,host:20002");
        }
        sqlMembers = sql.isEmpty()
                ? hosts.stream().map(host -> new Address(host, SQL_PORT)).toList()
                : sql.stream().map(address -> address.or(SQL_PORT)).toList();
    }

    /**
     * Reads a URL.
     *
     * @throws IllegalArgumentException it says too little, too much or two things at once
     */
    public static Cluster parse(String url) {
        var found = URL.matcher(url);
        if (!found.matches()) {
            throw new IllegalArgumentException(FORM);
        }
        String name = decoded(found.group(2));
        String database = decoded(found.group(3));
        if (!NAME.matcher(name).matches() || !NAME.matcher(database).matches()) {
            throw new IllegalArgumentException(
                    "'" + name + "/" + database + "' are no names of a cluster and database");
        }
        return new Cluster(name, database, addresses(found.group(1)), options(found.group(4)));
    }

    private static Map<String, String> options(String query) {
        Map<String, String> found = new HashMap<>();
        for (String part : query == null || query.isEmpty() ? new String[0] : query.split("&")) {
            String[] pair = part.split("=", 2);
            String option = decoded(pair[0]);
            String value = pair.length < 2 ? "" : decoded(pair[1]);
            if (!OPTIONS.contains(option) || value.isEmpty() || found.put(option, value) != null) {
                throw new IllegalArgumentException("option '" + option
                        + "' is unknown, repeated or empty; there are sql, provider, interface, route");
            }
        }
        if (found.getOrDefault("provider", "").contains("@")) {
            throw new IllegalArgumentException("the provider carries a user or password; GridDB takes none there");
        }
        if (!found.getOrDefault("route", "PUBLIC").equals("PUBLIC")) {
            throw new IllegalArgumentException("the only route is PUBLIC");
        }
        return found;
    }

    private static List<Address> addresses(String text) {
        List<Address> found = new ArrayList<>();
        for (String part : text.isEmpty() ? new String[0] : text.split(",")) {
            var address = ADDRESS.matcher(part);
            int port = address.matches() && address.group(2) != null ? Integer.parseInt(address.group(2)) : 0;
            if (!address.matches() || port > PORT_MAX) {
                throw new IllegalArgumentException(
                        "'" + part + "' is no host:port (GridDB takes IPv4 addresses and names)");
            }
            found.add(new Address(address.group(1), port));
        }
        return found;
    }

    private static String decoded(String text) {
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /** Returns the cluster's address for messages, such as {@code h1:10001,h2:10001}. */
    public String place() {
        if (options.containsKey("provider")) {
            return "provider " + options.get("provider").split("[?#]", 2)[0];
        }
        return multicast != null ? multicast.toString() : joined(members);
    }

    /** Returns the address properties of the native client. */
    Properties nativeProperties() {
        Properties found = properties(members);
        if (multicast != null) {
            found.setProperty("notificationAddress", multicast.host());
            found.setProperty("notificationPort", String.valueOf(multicast.port()));
        }
        return found;
    }

    /** Returns the URL for the JDBC driver; {@link #sqlProperties} go with it. */
    String sqlUrl() {
        return "jdbc:gs://" + (multicastSql == null ? "" : multicastSql) + "/" + name + "/" + database;
    }

    /** Returns the address properties of the JDBC driver. */
    Properties sqlProperties() {
        return properties(sqlMembers);
    }

    private Properties properties(List<Address> addresses) {
        Properties found = new Properties();
        found.setProperty("clusterName", name);
        found.setProperty("database", database);
        if (!addresses.isEmpty()) {
            found.setProperty("notificationMember", joined(addresses));
        }
        copy("provider", found, "notificationProvider");
        copy("interface", found, "notificationInterfaceAddress");
        copy("route", found, "connectionRoute");
        return found;
    }

    private void copy(String option, Properties properties, String property) {
        if (options.containsKey(option)) {
            properties.setProperty(property, options.get(option));
        }
    }

    private static String joined(List<Address> addresses) {
        return addresses.stream().map(Address::toString).collect(Collectors.joining(","));
    }
}
