//! PKCS#11 module for JPKI.
