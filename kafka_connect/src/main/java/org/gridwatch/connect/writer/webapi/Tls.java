package org.gridwatch.connect.writer.webapi;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Collection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.gridwatch.connect.writer.WriteException;

/** What a connection trusts: the JVM's certificates, and those of a PEM file. */
final class Tls {
    private Tls() {}

    static SSLContext trusting(Path caFile) {
        try {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            int number = 0;
            for (TrustManager manager : managers(null)) {
                for (Certificate one : ((X509TrustManager) manager).getAcceptedIssuers()) {
                    store.setCertificateEntry("jvm-" + number++, one);
                }
            }
            for (Certificate one : certificates(caFile)) {
                store.setCertificateEntry("own-" + number++, one);
            }
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, managers(store), null);
            return context;
        } catch (GeneralSecurityException | IOException error) {
            throw WriteException.fatal(
                    "connection.ca.file names '" + caFile + "', which is no file of certificates (PEM): "
                            + error.getMessage(),
                    error);
        }
    }

    private static TrustManager[] managers(KeyStore store) throws GeneralSecurityException {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private static Collection<? extends Certificate> certificates(Path caFile)
            throws GeneralSecurityException, IOException {
        try (InputStream file = Files.newInputStream(caFile)) {
            Collection<? extends Certificate> found =
                    CertificateFactory.getInstance("X.509").generateCertificates(file);
            if (found.isEmpty()) {
                throw new GeneralSecurityException("it holds none");
            }
            return found;
        }
    }
}
