package org.gridwatch.connect.writer.webapi;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.Base64;
import java.util.Locale;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;
import org.gridwatch.connect.writer.WriteException.Kind;
import org.gridwatch.connect.writer.WriterSettings;

/** Requests to one database's endpoints, each sent once. */
final class WebApiClient implements AutoCloseable {
    private static final Duration CONNECT_MAX = Duration.ofSeconds(10);
    private static final int SHOWN = 80;

    private final WebApiUrl url;
    private final Duration timeout;
    private final String authorization;
    private final HttpClient http;
    private final ObjectMapper json = new ObjectMapper();
    private final Refusals refusals;
    private volatile CompletableFuture<?> running;
    private volatile boolean closed;

    WebApiClient(WebApiUrl url, WriterSettings settings) {
        this.url = url;
        timeout = settings.timeout();
        authorization = authorization(settings);
        HttpClient.Builder builder = HttpClient.newBuilder()
                // An offer to upgrade to HTTP/2 is more than some servers of HTTP/1.1 take.
                .version(HttpClient.Version.HTTP_1_1)
                // A redirect would carry the rows, and at times the login, to somewhere else.
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(timeout.compareTo(CONNECT_MAX) < 0 ? timeout : CONNECT_MAX);
        if (settings.caFile() != null) {
            builder.sslContext(Tls.trusting(settings.caFile()));
        }
        http = builder.build();
        refusals = new Refusals(url, authorization != null, json);
    }

    /** Returns the header of the login: without a password none, without a user that of a token. */
    private static String authorization(WriterSettings settings) {
        if (settings.password().isEmpty()) {
            return null;
        }
        if (settings.user().isEmpty()) {
            return "Bearer " + settings.password();
        }
        String login = settings.user() + ":" + settings.password();
        return "Basic " + Base64.getEncoder().encodeToString(login.getBytes(StandardCharsets.UTF_8));
    }

    WebApiUrl url() {
        return url;
    }

    Refusals refusals() {
        return refusals;
    }

    ObjectMapper json() {
        return json;
    }

    /**
     * Sends a request.
     *
     * @param method GET, POST, PUT or DELETE
     * @param endpoint path below the database
     * @param body JSON, or {@code null} for none
     * @param repeatable whether twice is as good as once: then a connection that breaks at once, as one does that the
     *     server closed while it was idle, is no failure yet
     * @return the JSON of the answer, a missing node where it is empty
     */
    JsonNode call(String method, String endpoint, byte[] body, boolean repeatable) {
        HttpRequest.Builder request = HttpRequest.newBuilder(url.endpoint(endpoint))
                .timeout(timeout)
                .header("Accept", "application/json")
                .header("User-Agent", "gridwatch-griddb-sink");
        if (authorization != null) {
            request.header("Authorization", authorization);
        }
        if (body != null) {
            request.header("Content-Type", "application/json; charset=UTF-8");
        }
        request.method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        HttpResponse<byte[]> answer = sent(request.build(), repeatable);
        if (answer.statusCode() >= 300) {
            String location = answer.headers().firstValue("Location").orElse("nowhere");
            throw refusals.of(answer.statusCode(), location, answer.body());
        }
        return read(answer.body());
    }

    private HttpResponse<byte[]> sent(HttpRequest request, boolean repeatable) {
        try {
            return once(request);
        } catch (BrokenException first) {
            if (!repeatable) {
                throw unreachable(first.getCause());
            }
        }
        try {
            return once(request);
        } catch (BrokenException second) {
            throw unreachable(second.getCause());
        }
    }

    private HttpResponse<byte[]> once(HttpRequest request) throws BrokenException {
        if (closed) {
            throw isClosed();
        }
        // The request's own limit ends with the answer's first bytes; this one counts the rest as well.
        CompletableFuture<HttpResponse<byte[]>> waiting = http.sendAsync(request, BodyHandlers.ofByteArray());
        running = waiting;
        try {
            return waiting.get(timeout.toMillis() + CONNECT_MAX.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException error) {
            throw failed(error.getCause());
        } catch (TimeoutException error) {
            throw tooLate(error);
        } catch (CancellationException error) {
            throw isClosed();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new ApiFailure(Kind.RETRIABLE, 0, 0, "The wait for " + url.place() + " was interrupted.", error);
        } finally {
            waiting.cancel(true);
            running = null;
        }
    }

    private ApiFailure isClosed() {
        return new ApiFailure(Kind.RETRIABLE, 0, 0, "The writer to " + url.place() + " is closed.", null);
    }

    /** Returns what a request without an answer means. */
    private ApiFailure failed(Throwable error) throws BrokenException {
        if (error instanceof ConnectException) {
            return unreachable(error);
        }
        if (error instanceof HttpTimeoutException) {
            return tooLate(error);
        }
        if (error instanceof SSLException && isLasting(error)) {
            return new ApiFailure(Kind.FATAL, 0, 0,
                    "The TLS certificate or connection of " + url.place() + " is refused (" + reason(error)
                            + "); for a certificate of your own name its CA file in connection.ca.file, and use "
                            + "griddb+http:// where there is no TLS.",
                    error);
        }
        if (error instanceof IOException) {
            throw new BrokenException(error);
        }
        throw new IllegalStateException("The HTTP client failed: " + error, error);
    }

    /** Tells whether a failure of TLS is one of certificates or of talking to something without TLS. */
    private static boolean isLasting(Throwable error) {
        for (Throwable one = error; one != null; one = one.getCause()) {
            String message = String.valueOf(one.getMessage());
            if (one instanceof CertificateException || one instanceof CertPathValidatorException
                    || message.toLowerCase(Locale.ROOT).contains("unrecognized ssl message")
                    || message.contains("No subject alternative")) {
                return true;
            }
        }
        return false;
    }

    private ApiFailure tooLate(Throwable error) {
        return new ApiFailure(Kind.RETRIABLE, 0, 0,
                "The GridDB Web API at " + url.place() + " gave no answer within " + timeout.toMillis() + " ms.",
                error);
    }

    private ApiFailure unreachable(Throwable error) {
        return new ApiFailure(Kind.RETRIABLE, 0, 0,
                "No GridDB Web API at " + url.place() + ": " + reason(error) + "; check connection.url, that the Web "
                        + "API (or gridwatch serve) runs, and the network between.",
                error);
    }

    private static String reason(Throwable error) {
        for (Throwable one = error; one != null; one = one.getCause()) {
            if (one.getMessage() != null) {
                return one.getMessage();
            }
        }
        return error instanceof ConnectException
                ? "connection refused, or no such host"
                : error.getClass().getSimpleName();
    }

    private JsonNode read(byte[] body) {
        if (body.length == 0) {
            return json.missingNode();
        }
        try {
            return json.readTree(body);
        } catch (JsonProcessingException error) {
            String shown = new String(body, 0, Math.min(body.length, SHOWN), StandardCharsets.UTF_8);
            throw refusals.noApi("it answers '" + shown + "', which is no JSON");
        } catch (IOException error) {
            throw new AssertionError("bytes in memory can be read", error);
        }
    }

    @Override
    public void close() {
        closed = true;
        CompletableFuture<?> waiting = running;
        if (waiting != null) {
            waiting.cancel(true);
        }
    }

    /** A connection that broke before an answer. */
    private static final class BrokenException extends Exception {
        private static final long serialVersionUID = 1L;

        BrokenException(Throwable cause) {
            super(cause);
        }
    }
}
