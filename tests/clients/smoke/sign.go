// Signs a file with the first key of a token.
// Arguments: the module, the token's label, the file, and the signature to make. The PIN stands in the variable PIN.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/miekg/pkcs11"
)

func main() {
	log.SetFlags(0)
	if err := sign(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func sign(module, label, input, output string) error {
	data, err := os.ReadFile(input)
	if err != nil {
		return err
	}
	context := pkcs11.New(module)
	if context == nil {
		return fmt.Errorf("%s cannot be loaded", module)
	}
	defer context.Destroy()
	if err := context.Initialize(); err != nil {
		return err
	}
	defer context.Finalize()
	slot, err := findSlot(context, label)
	if err != nil {
		return err
	}
	session, err := context.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return err
	}
	defer context.CloseSession(session)
	if err := context.Login(session, pkcs11.CKU_USER, os.Getenv("PIN")); err != nil {
		return err
	}
	key, err := findKey(context, session)
	if err != nil {
		return err
	}
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_RSA_PKCS, nil)}
	if err := context.SignInit(session, mechanism, key); err != nil {
		return err
	}
	signature, err := context.Sign(session, data)
	if err != nil {
		return err
	}
	return os.WriteFile(output, signature, 0o644)
}

func findSlot(context *pkcs11.Ctx, label string) (uint, error) {
	slots, err := context.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		if token, err := context.GetTokenInfo(slot); err == nil && token.Label == label {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no token %s", label)
}

func findKey(context *pkcs11.Ctx, session pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)}
	if err := context.FindObjectsInit(session, template); err != nil {
		return 0, err
	}
	keys, _, err := context.FindObjects(session, 1)
	if err != nil {
		return 0, err
	}
	if len(keys) == 0 {
		return 0, fmt.Errorf("no key")
	}
	return keys[0], context.FindObjectsFinal(session)
}
