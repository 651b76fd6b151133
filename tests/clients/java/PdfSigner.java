import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.Calendar;
import java.util.List;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/**
 * Signs a PDF with PDFBox. Arguments: the configuration of SunPKCS11, the file to sign, and the one to make. The password
 * is the first line of the input.
 */
public final class PdfSigner {
    private final Provider provider;
    private final PrivateKey key;
    private final X509Certificate[] chain;

    private PdfSigner(String configuration, char[] password) throws Exception {
        provider = Security.getProvider("SunPKCS11").configure(configuration);
        KeyStore keys = KeyStore.getInstance("PKCS11", provider);
        keys.load(null, password);
        String alias = keys.aliases().nextElement();
        key = (PrivateKey) keys.getKey(alias, null);
        chain = List.of(keys.getCertificateChain(alias)).toArray(new X509Certificate[0]);
    }

    public static void main(String[] arguments) throws Exception {
        PdfSigner signer = new PdfSigner(arguments[0], new String(System.in.readAllBytes()).strip().toCharArray());
        try (PDDocument document = PDDocument.load(new File(arguments[1]));
                OutputStream out = Files.newOutputStream(Path.of(arguments[2]))) {
            PDSignature signature = new PDSignature();
            signature.setFilter(PDSignature.FILTER_ADOBE_PPKLITE);
            signature.setSubFilter(PDSignature.SUBFILTER_ADBE_PKCS7_DETACHED);
            signature.setSignDate(Calendar.getInstance());
            document.addSignature(signature, signer::sign);
            document.saveIncremental(out);
        }
    }

    private byte[] sign(InputStream content) throws IOException {
        try {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            content.transferTo(bytes);
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            generator.addSignerInfoGenerator(
                    new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().build())
                            .build(new JcaContentSignerBuilder("SHA256withRSA").setProvider(provider).build(key), chain[0]));
            generator.addCertificates(new JcaCertStore(List.of(chain)));
            return generator.generate(new CMSProcessableByteArray(bytes.toByteArray()), false).getEncoded();
        } catch (java.security.GeneralSecurityException | CMSException | org.bouncycastle.operator.OperatorException e) {
            throw new IOException(e);
        }
    }
}
