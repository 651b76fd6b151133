import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.util.Collections;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * A program that keeps the card's key store and uses it as it is told, one command in a line of its input:
 *
 * <pre>
 * login PIN              loads the key store
 * get PORT VERSION       fetches a page from the loopback interface with TLS, as the owner of the card
 * sign ALGORITHM         signs, and verifies without the card
 * </pre>
 *
 * Prints what came of it, and `done` or `failed: ` with the causes. Arguments: the configuration of SunPKCS11, and the
 * CA of the servers.
 */
public final class CardClient {
    private static final String LOOPBACK = "127.0.0.1";
    private static final int TIMEOUT = 20_000;

    private final Provider provider;
    private final TrustManagerFactory trust;
    private KeyStore keys;
    private SSLContext context;

    private CardClient(String configuration, String authority) throws Exception {
        provider = Security.getProvider("SunPKCS11").configure(configuration);
        Security.addProvider(provider);
        KeyStore authorities = KeyStore.getInstance("PKCS12");
        authorities.load(null, null);
        try (FileInputStream file = new FileInputStream(authority)) {
            authorities.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(authorities);
    }

    private void login(String pin) throws Exception {
        keys = KeyStore.getInstance("PKCS11", provider);
        keys.load(null, pin.toCharArray());
        System.out.println("aliases: " + Collections.list(keys.aliases()));
        KeyManagerFactory manager = KeyManagerFactory.getInstance("PKIX");
        manager.init(keys, null);
        context = SSLContext.getInstance("TLS");
        context.init(manager.getKeyManagers(), trust.getTrustManagers(), null);
    }

    private void get(int port, String version) throws Exception {
        try (Socket plain = new Socket(LOOPBACK, port);
                SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, LOOPBACK, port, false)) {
            socket.setSoTimeout(TIMEOUT);
            socket.setEnabledProtocols(new String[] {version});
            OutputStream out = socket.getOutputStream();
            out.write("GET / HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            out.flush();
            System.out.println(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    private void sign(String algorithm) throws Exception {
        byte[] message = "a letter".getBytes(StandardCharsets.US_ASCII);
        String alias = keys.aliases().nextElement();
        Signature signer = Signature.getInstance(algorithm, provider);
        signer.initSign((PrivateKey) keys.getKey(alias, null));
        signer.update(message);
        byte[] signature = signer.sign();
        Signature verifier = Signature.getInstance(algorithm, "SunRsaSign");
        verifier.initVerify(keys.getCertificate(alias));
        verifier.update(message);
        System.out.println("good: " + verifier.verify(signature));
    }

    private void carryOut(String[] command) throws Exception {
        switch (command[0]) {
            case "login":
                login(command[1]);
                break;
            case "get":
                get(Integer.parseInt(command[1]), command[2]);
                break;
            case "sign":
                sign(command[1]);
                break;
            default:
                throw new IllegalArgumentException(command[0]);
        }
    }

    private static String causes(Throwable error) {
        String cause = error.getCause() == null ? "" : " <- " + causes(error.getCause());
        return error + cause;
    }

    public static void main(String[] arguments) throws Exception {
        CardClient client = new CardClient(arguments[0], arguments[1]);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            try {
                client.carryOut(line.split(" "));
                System.out.println("done");
            } catch (Exception error) {
                System.out.println("failed: " + causes(error));
            }
        }
    }
}
