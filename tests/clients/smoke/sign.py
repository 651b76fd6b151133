"""Signs a file with the first key of a token, with PyKCS11.

Arguments: the module, the token's label, the file, and the signature to make. The PIN stands in the variable PIN.
"""

import os
import sys

import PyKCS11

path, label, source, target = sys.argv[1:]
library = PyKCS11.PyKCS11Lib()
library.load(path)
slot = next(slot for slot in library.getSlotList(tokenPresent=True) if library.getTokenInfo(slot).label.strip() == label)
session = library.openSession(slot)
session.login(os.environ["PIN"])
key = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])[0]
with open(source, "rb") as file:
    signature = session.sign(key, file.read(), PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None))
with open(target, "wb") as file:
    file.write(bytes(signature))
session.logout()
session.closeSession()
