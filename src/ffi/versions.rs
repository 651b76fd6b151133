//! The versions of PKCS#11 that the library has a function table for.

use cryptoki_sys::CK_VERSION;

pub(super) const VERSION_2_40: CK_VERSION = CK_VERSION { major: 2, minor: 40 };
pub(super) const VERSION_3_0: CK_VERSION = CK_VERSION { major: 3, minor: 0 };
pub(super) const VERSION_3_2: CK_VERSION = CK_VERSION { major: 3, minor: 2 };
