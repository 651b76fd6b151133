// Signs a file with the first key of a token, with graphene-pk11.
// Arguments: the module, the token's label, the file, and the signature to make. The PIN stands in the variable PIN.
const fs = require("fs");
const graphene = require("graphene-pk11");

const [path, label, input, output] = process.argv.slice(2);
const library = graphene.Module.load(path, "jpki");
library.initialize();
try {
    const slots = library.getSlots(true);
    let slot;
    for (let i = 0; i < slots.length; i++) {
        if (slots.items(i).getToken().label.trim() === label) slot = slots.items(i);
    }
    if (!slot) throw new Error(`no token ${label}`);
    const session = slot.open(graphene.SessionFlag.SERIAL_SESSION);
    session.login(process.env.PIN);
    const key = session.find({ class: graphene.ObjectClass.PRIVATE_KEY }).items(0).toType();
    const signature = session.createSign("SHA256_RSA_PKCS", key).once(fs.readFileSync(input));
    fs.writeFileSync(output, signature);
    session.logout();
    session.close();
} finally {
    library.finalize();
}
