import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.Collections;
import java.util.List;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignatureMethod;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/**
 * Signs a form as offices take it: a signature over the element with the attribute Id="form", in the same document, with
 * the certificate and its chain in it.
 *
 * Arguments: the configuration of SunPKCS11, the file to sign, and the one to make. The password is the first line of the
 * input.
 */
public final class XmlSigner {
    private static final String FORM = "form";

    private XmlSigner() {}

    public static void main(String[] arguments) throws Exception {
        Provider provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.addProvider(provider);
        KeyStore keys = KeyStore.getInstance("PKCS11", provider);
        keys.load(null, new String(System.in.readAllBytes()).strip().toCharArray());
        Document document = read(Path.of(arguments[1]));
        sign(keys, document);
        TransformerFactory.newInstance()
                .newTransformer()
                .transform(new DOMSource(document), new StreamResult(new File(arguments[2])));
    }

    private static Document read(Path file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        Document document = factory.newDocumentBuilder().parse(Files.newInputStream(file));
        Element form = (Element) document.getElementsByTagName("*").item(1);
        form.setIdAttribute("Id", true);
        return document;
    }

    private static void sign(KeyStore keys, Document document) throws Exception {
        String alias = keys.aliases().nextElement();
        XMLSignatureFactory factory = XMLSignatureFactory.getInstance("DOM");
        Reference reference = factory.newReference(
                "#" + FORM,
                factory.newDigestMethod(DigestMethod.SHA256, null),
                List.of(factory.newTransform(CanonicalizationMethod.INCLUSIVE, (TransformParameterSpec) null)),
                null,
                null);
        SignedInfo information = factory.newSignedInfo(
                factory.newCanonicalizationMethod(CanonicalizationMethod.INCLUSIVE, (C14NMethodParameterSpec) null),
                factory.newSignatureMethod(SignatureMethod.RSA_SHA256, null),
                Collections.singletonList(reference));
        KeyInfoFactory parts = factory.getKeyInfoFactory();
        KeyInfo key = parts.newKeyInfo(List.of(parts.newX509Data(List.of(keys.getCertificateChain(alias)))));
        DOMSignContext context =
                new DOMSignContext((PrivateKey) keys.getKey(alias, null), document.getDocumentElement());
        factory.newXMLSignature(information, key).sign(context);
        System.out.println(((X509Certificate) keys.getCertificate(alias)).getSubjectX500Principal());
    }
}
